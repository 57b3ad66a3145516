"""The stand-in k3s: a server and an agent on two machines of their own, set up by k3s's configuration files alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster import busybox, needs, state
from tests.cluster.cgroups import Group
from tests.cluster.machine import Machine
from tests.cluster.network import Wires
from tests.cluster.pack import pack
from tests.cluster.program import Program
from tests.cluster.remains import read
from tests.cluster.workload import TOOL, pod
from tests.waiting import eventually

PATHS = {"config": "etc/rancher/k3s/config.yaml", "images": "var/lib/rancher/k3s/agent/images"}


@dataclass(frozen=True)
class Board:
    """A machine with k3s on it."""

    machine: Machine
    k3s: Program
    binary: Path

    def run(self, *arguments: str) -> str:
        return self.machine.run(self.binary, *arguments)

    def kubectl(self, *arguments: str) -> str:
        return self.run("kubectl", *arguments)


@pytest.fixture(scope="module")
def boards() -> Iterator[Callable[[int, str, dict[str, object]], Board]]:
    """Makes machine number N with `k3s server` or `k3s agent` set up; ends all of them."""
    needs.check()
    folder, ranges = state.claim("k3sstand")
    made: list[Board] = []
    try:
        wires = Wires(state.prefix("k3sstand"), ranges, 0)  # routes between pods are the stand-in's own work
        wires.lay()
        binary = pack(folder / "k3s")

        def board(number: int, role: str, config: dict[str, object]) -> Board:
            machine = Machine(
                f"pi{number}", folder / f"pi{number}", Group("k3sstand", f"pi{number}"), wires.namespace(number)
            )
            settings = machine.state / PATHS["config"]
            settings.parent.mkdir(parents=True)
            cidr = {"cluster-cidr": str(ranges.pods), "service-cidr": str(ranges.services)} if role == "server" else {}
            settings.write_text(json.dumps({**cidr, **config}))
            (machine.state / PATHS["images"]).mkdir(parents=True)
            busybox(TOOL).write(machine.state / PATHS["images"] / "tool.tar")
            wires.attach(number)
            machine.boot()
            made.append(Board(machine, Program("k3s", machine, [binary, role], machine.state / "k3s.log"), binary))
            return made[-1]

        yield board
    finally:
        for each in made:
            each.machine.cut()
            each.k3s.lost()
        state.release("k3sstand", ranges.slot)


@pytest.fixture(scope="module")
def server(boards) -> Board:
    board = boards(
        1,
        "server",
        {"token": "secret", "write-kubeconfig-mode": "0640", "disable": ["traefik"], "node-label": ["shelf=hall"]},
    )
    drop = board.machine.state / "var/lib/rancher/k3s/agent/etc/kubelet.conf.d/10-more.conf"
    drop.parent.mkdir(parents=True)
    drop.write_text("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: 77\n")
    manifest = board.machine.state / "var/lib/rancher/k3s/server/manifests/ours.yaml"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: ours}\n")
    board.k3s.start()
    return board


@pytest.fixture(scope="module")
def agent(boards, server) -> Board:
    until(server, lambda: "pi1" in ready(server))
    token = (server.machine.state / "var/lib/rancher/k3s/server/node-token").read_text().strip()
    address = server.machine.run("hostname", "-I").split()[0]
    board = boards(2, "agent", {"token": token, "server": f"https://{address}:6443"})
    board.k3s.start()
    return board


def until(board: Board, check: Callable[[], object]) -> None:
    """Wait for it while the program runs; what it said if it ends or does not come to it."""

    def now() -> object:
        assert board.k3s.running, f"k3s ended:\n{board.k3s.tail(30)}"
        try:
            return check()
        except RuntimeError as error:
            raise AssertionError(f"{error}\n{board.k3s.tail(40)}") from error

    eventually(now, timeout=90, every=0.5)


def nodes(server: Board) -> dict[str, dict[str, object]]:
    items = json.loads(server.kubectl("get", "nodes", "-o", "json"))["items"]
    return {item["metadata"]["name"]: item for item in items}


def ready(server: Board) -> set[str]:
    states = server.kubectl("get", "nodes", "--no-headers").splitlines()
    return {line.split()[0] for line in states if line.split()[1] == "Ready"}


def test_a_server_follows_its_configuration_files(server):
    until(server, lambda: "pi1" in ready(server))
    node = nodes(server)["pi1"]
    assert node["metadata"]["labels"]["shelf"] == "hall"
    assert node["status"]["capacity"]["pods"] == "77"
    inside = Path(f"/proc/{server.machine.init}/root")
    assert (inside / "etc/rancher/k3s/k3s.yaml").stat().st_mode & 0o777 == 0o640
    assert (inside / "etc/rancher/node/password").stat().st_mode & 0o777 == 0o600
    assert (inside / "var/lib/rancher/k3s/server/token").stat().st_mode & 0o777 == 0o600
    until(server, lambda: "ours" in server.kubectl("get", "namespaces"))
    assert TOOL in server.run("ctr", "images", "ls", "-q")
    assert "standin" in server.run("--version")


def test_pods_of_an_agent_and_the_server_talk_with_their_own_sources(server, agent):
    until(agent, lambda: ready(server) == {"pi1", "pi2"})
    until(server, lambda: server.kubectl("get", "serviceaccount", "default"))
    create(server, pod("listens", "httpd -f -vv -p 7000 -h /tmp", node="pi1"))
    until(server, lambda: status(server, "listens")["phase"] == "Running")
    ask = f"until wget -q -O - http://{status(server, 'listens')['podIP']}:7000/ 2>&1 | grep -q 404; do sleep 0.1; done"
    create(server, pod("asks", ask, node="pi2"))
    until(server, lambda: status(server, "asks")["phase"] == "Succeeded")
    assert status(server, "asks")["podIP"] in server.kubectl("logs", "listens")


def create(server: Board, document: dict[str, object]) -> None:
    file = server.machine.state / f"{document['metadata']['name']}.json"
    file.write_text(json.dumps(document))
    server.kubectl("apply", "-f", str(file))


def status(server: Board, name: str) -> dict[str, str]:
    return dict(json.loads(server.kubectl("get", "pod", name, "-o", "json"))["status"])


def test_containers_outlive_their_k3s_and_it_takes_them_up_again(server, agent):
    create(server, pod("stays", "sleep 1000", node="pi1"))
    until(server, lambda: status(server, "stays")["phase"] == "Running")
    began = json.dumps(status(server, "stays")["containerStatuses"])
    server.k3s.kill()
    eventually(lambda: not programs(server) & {"kine", "containerd", "k3s"})
    assert "containerd-shim" in programs(server)
    server.k3s.start()
    until(server, lambda: ready(server) == {"pi1", "pi2"})
    assert json.dumps(status(server, "stays")["containerStatuses"]) == began


def programs(board: Board) -> set[str]:
    """Names of all processes on it; the kernel cuts them at 15 characters."""
    return {read(Path(f"/proc/{pid}/comm")).strip() for pid in board.machine.group.processes()}


def test_a_wrong_token_is_refused_with_what_to_do(boards, server):
    address = server.machine.run("hostname", "-I").split()[0]
    stranger = boards(3, "agent", {"token": "guessed", "server": f"https://{address}:6443"})
    said = subprocess.run(
        stranger.machine.inside([stranger.binary, "agent"]), capture_output=True, text=True, check=False
    )
    assert said.returncode == 1
    assert "server/node-token" in said.stderr


def test_a_node_with_anothers_name_is_refused(boards, server, agent):
    address = server.machine.run("hostname", "-I").split()[0]
    twin = boards(4, "agent", {"token": "secret", "node-name": "pi2", "server": f"https://{address}:6443"})
    said = subprocess.run(twin.machine.inside([twin.binary, "agent"]), capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert "pi2.node-password.k3s" in said.stderr


def test_a_misspelt_setting_stops_the_start(boards):
    board = boards(5, "server", {"tokn-file": "/etc/x"})
    with pytest.raises(RuntimeError, match='no setting "tokn-file"'):
        board.run("server")
