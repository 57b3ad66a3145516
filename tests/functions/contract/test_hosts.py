"""How pods will ask: one address for all, and a name for each worker, found in the hosts file that Kubernetes writes for a pod
(`hostAliases`). Here each worker has a mount namespace with such a file of its own. The clients are as unmodified as ever."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.adapters.run_process import ProcessRunner
from edge_agent.domain.function import PoolSpec
from edge_agent.engine.functions.dispatch import Engine
from edge_agent.engine.functions.loop import Loop
from edge_agent.runtime_api.http import Request
from edge_agent.runtime_api.peers import Address
from edge_agent.runtime_api.server import RuntimeServer
from tests.functions.contract.clients import Client
from tests.functions.shelf import Shelf

pytestmark = pytest.mark.timeout(300)

DOMAIN = "worker.edge.internal"
INSIDE = 'mount --bind "$0" /etc/hosts && exec "$@"'
UNSHARE = ("unshare", *([] if os.getuid() == 0 else ["--user", "--map-root-user"]), "--mount")


class Names:
    """`run_process.Doors`: a random name for each worker, at one address."""

    def __init__(self, server: RuntimeServer, hosts: Path) -> None:
        self._tokens: dict[str, str] = {}
        self._hosts = hosts
        self.asked: list[str] = []
        self.port = server.listen(("127.0.0.1", 0), self._identify)[1]

    def open(self, worker_id: str) -> str:
        token = secrets.token_hex(16)
        self._tokens[f"{token}.{DOMAIN}"] = worker_id
        self._hosts.write_text("".join(f"127.0.0.1 {name}\n" for name in self._tokens))
        return f"{token}.{DOMAIN}:{self.port}"

    def expect(self, worker_id: str, pid: int) -> None: ...

    def hang_up(self, worker_id: str) -> None: ...

    def close(self, worker_id: str) -> None:
        self._tokens = {name: worker for name, worker in self._tokens.items() if worker != worker_id}

    def _identify(self, peer: Address, request: Request) -> str | None:
        name = request.headers.get(b"host", b"").decode().rpartition(":")[0]
        self.asked.append(name)
        return self._tokens.get(name) if peer[0] == "127.0.0.1" else None


@pytest.fixture
def named(tmp_path: Path) -> Iterator[Shelf]:
    hosts = tmp_path / "hosts"
    hosts.write_text("")

    def make(loop: Loop, server: RuntimeServer, engine: Engine) -> ProcessRunner:
        return ProcessRunner(loop, Names(server, hosts), engine, tmp_path / "workers")

    shelf = Shelf(tmp_path, runner=make)
    yield shelf
    shelf.stop()


def test_a_client_that_is_given_a_name_is_known_by_it(named: Shelf, client: Client, tmp_path: Path) -> None:
    declared = client.declared()
    command = (*UNSHARE, "sh", "-c", INSIDE, str(tmp_path / "hosts"), *declared["command"])
    for name in ("tried", "other"):
        client.declare(named, name, command=command, isolation="shared", pool=PoolSpec(min_idle=2, max_workers=2))
    named.start()
    for name in ("tried", "other", "tried"):
        assert named.answer(name, {"do": "echo", "for": name})["data"]["for"] == name
        assert named.answer(name, {"do": "context"})["function"] == name
