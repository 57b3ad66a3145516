"""The agent as users run it: `edgectl agent` in a process of its own, which tests may kill at any moment.

Enters: manifests and settings. Leaves: a running agent on a data folder that survives `kill()` and `start()`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from tests.broker import free_port
from tests.waiting import eventually

EDGECTL = str(Path(sys.executable).with_name("edgectl"))


class Agent:
    """`with Agent(tmp_path, broker.port, manifests=...) as agent: agent.get("/devices"); agent.kill(); agent.start()`.

    `settings` are TOML keys such as `{"journal.drain_every": "1s"}`. The API is called over the local socket.
    """

    def __init__(
        self,
        folder: Path,
        mqtt_port: int,
        *,
        manifests: str = "",
        settings: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.web_port = free_port()
        self.config = folder / "edge.toml"
        self.log = folder / "agent.log"
        self._environment = {**os.environ, "PYTHONFAULTHANDLER": "1", **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(exist_ok=True)
        (self.data / "manifests").mkdir(parents=True, exist_ok=True)
        self.declare(manifests)
        given: dict[str, Any] = {
            "site": "home",
            "data.dir": str(self.data),
            "mqtt.port": mqtt_port,
            "web.port": self.web_port,
            "journal.linger": "50ms",
            "journal.drain_every": "2s",
        }
        self.config.write_text(_toml(given | dict(settings or {})))

    def declare(self, manifests: str) -> None:
        """Replace what is declared, whole: an earlier reload may be reading. Needs a `start()`, or a SIGHUP (`reload`)."""
        file = self.data / "manifests" / "test.yaml"
        fresh = file.with_suffix(".new")
        fresh.write_text(textwrap.dedent(manifests))
        fresh.replace(file)

    def __enter__(self) -> Agent:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if kind is not None:
            print(self.log.read_text()[-6000:])

    def start(self, *, wait: bool = True) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [EDGECTL, "agent", "--config", str(self.config)],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self._environment,
            )
        if wait:
            eventually(self.ready, timeout=40)

    def ready(self) -> bool:
        """Answering, and connected to the broker."""
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"the agent ended with {self._process.returncode}:\n{self.log.read_text()[-4000:]}")
        try:
            return self.http("GET", "/readyz").status_code == 200
        except httpx.TransportError:
            return False

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL, no goodbye."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)  # PYTHONFAULTHANDLER: where each of its threads stood
            self._process.wait(5)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            print(self.log.read_text()[-12_000:])
            raise

    def reload(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def http(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Over the local socket, where the same user is the administrator."""
        transport = httpx.HTTPTransport(uds=str(self.data / "agent.sock"))
        with httpx.Client(transport=transport, base_url="http://localhost", timeout=30) as client:
            return client.request(method, path, **more)

    def get(self, path: str, **query: Any) -> Any:
        """What `/api/v1` answers; AssertionError when it is not a 2xx."""
        answer = self.http("GET", f"/api/v1{path}", params=query)
        assert answer.is_success, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return self.http("POST", f"/api/v1{path}", json=body, headers=headers)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`edgectl` with this agent's data folder."""
        return subprocess.run(
            [EDGECTL, *arguments, "--data", str(self.data)], capture_output=True, text=True, timeout=60, check=False
        )


def _toml(keys: Mapping[str, Any]) -> str:
    sections: dict[str, list[str]] = {"": []}
    for key, value in keys.items():
        section, _, name = key.rpartition(".")
        sections.setdefault(section, []).append(f"{name} = {json.dumps(value)}")
    return "\n".join((f"[{section}]\n" if section else "") + "\n".join(lines) for section, lines in sections.items())
