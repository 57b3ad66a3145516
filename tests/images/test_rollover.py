"""`edgectl functions deploy` on a real cluster: from a folder to pods, by a registry with TLS and password, under load."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.agent import EDGECTL, Agent
from tests.broker import Broker, free_port
from tests.cluster import Cluster
from tests.images import stand_in
from tests.images.registry import PASSWORD, USER, Registry
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(600)

BUILD = Path(__file__).parents[2] / "images" / "build"
MANIFEST = """
apiVersion: edge.internal/v1alpha1
kind: Function
metadata: {name: pump}
spec:
  source: .
  command: [./bootstrap]
  isolation: %s
  timeout: 20s
  memory: 16Mi
  pool: {minIdle: 1, maxWorkers: 2}
"""
CONTAINERFILE = """ARG REGISTRY=registry.edge.internal:5000
FROM ${REGISTRY}/edge/shell:1
COPY --chmod=0755 bootstrap ./
CMD ["./bootstrap"]
"""
BOOTSTRAP = """#!/bin/busybox sh
%s
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
while answer=$(/bin/busybox wget -qS -O - "$api/next" 2>&1); do
    id=${answer#*Request-Id: }; id=${id%%%%[!0-9a-f-]*}
    root=$(echo $(touch /x 2>&1; id -u))
    /bin/busybox wget -q -O /dev/null --post-data '{"version": "%s", "root": "'"$root"'"}' "$api/$id/response"
done
"""


class Shelf:
    """One node, a registry, an agent whose functions are pods."""

    def __init__(self, cluster: Cluster, registry: Registry, folder: Path, broker: Broker) -> None:
        self.folder, self.registry, self.cluster = folder, registry, cluster
        self.agent = Agent(
            folder / "agent",
            broker.port,
            settings={
                "functions.runner": "kubernetes",
                "kubernetes.kubeconfig": str(cluster.kubeconfig),
                "kubernetes.runtime_address": cluster.runtime_address,
                "kubernetes.runtime_port": free_port(),
                "registry.address": registry.address,
                "registry.username": USER,
                "registry.password_file": str(registry.folder / "password"),
                "registry.tls_ca": str(registry.ca),
            },
        )
        configuration = folder / "storage.conf"
        configuration.write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/layers"\nrunroot = "{folder}/run"\n'
        )
        self.environment = {**stand_in.environment(), "CONTAINERS_STORAGE_CONF": str(configuration)}

    def bases(self) -> None:
        """The base image, as a user puts it into the registry."""
        stand_in.base(self.folder, "localhost/stand-in:1", ("linux/amd64",))
        (self.folder / "ca").mkdir()
        (self.folder / "ca" / "ca.crt").write_bytes(self.registry.ca.read_bytes())
        word = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        auth = self.folder / "auth.json"
        auth.write_text(json.dumps({"auths": {self.registry.address: {"auth": word}}}))
        words = [
            "--push",
            "--platform",
            "linux/amd64",
            "--registry",
            self.registry.address,
            "--base",
            "localhost/stand-in:1",
        ]
        words += ["--authfile", str(auth), "--cert-dir", str(self.folder / "ca"), "shell"]
        done = subprocess.run(
            [BUILD, *words], env=self.environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
        node = self.cluster.nodes[0]
        hosts = node.folder / "certs.d" / self.registry.address
        hosts.mkdir(parents=True)
        (hosts / "ca.crt").write_bytes(self.registry.ca.read_bytes())
        (hosts / "hosts.toml").write_text(
            f'server = "https://{self.registry.address}"\n[host."https://{self.registry.address}"]\n'
            f'capabilities = ["pull", "resolve"]\nca = "{hosts}/ca.crt"\n'
            f'[host."https://{self.registry.address}".header]\nAuthorization = ["Basic {word}"]\n'
        )

    def write(self, version: str, *, first: str = "", isolation: str = "shared") -> Path:
        made = self.folder / "pump"
        made.mkdir(exist_ok=True)
        (made / "function.yaml").write_text(MANIFEST % isolation)
        (made / "Containerfile").write_text(CONTAINERFILE)
        (made / "bootstrap").write_text(BOOTSTRAP % (first, version))
        (made / "bootstrap").chmod(0o755)
        return made

    def deploy(self, *words: str) -> subprocess.CompletedProcess[str]:
        line = [
            EDGECTL,
            "functions",
            "deploy",
            *words,
            "--data",
            str(self.agent.data),
            "--config",
            str(self.agent.config),
        ]
        return subprocess.run(line, env=self.environment, capture_output=True, text=True, check=False, timeout=180)

    def call(self) -> Any:
        answer = self.agent.post("/functions/pump/invocations", {})
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    folder = tmp_path_factory.mktemp("shelf")
    with Cluster(nodes=1, name="img") as cluster, Broker() as broker:
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "edge-functions"}})
        cluster.apply({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "edge-function"},
            "value": 1000, "preemptionPolicy": "Never",
        })  # fmt: skip
        registry = Registry(folder / "registry", cluster.runtime_address).start()
        try:
            made = Shelf(cluster, registry, folder, broker)
            made.bases()
            with made.agent:
                yield made
        finally:
            registry.stop()


class Flow:
    """Events one after the other on two threads, until the end; who answered each, and what went wrong."""

    def __init__(self, shelf: Shelf) -> None:
        self.answers: list[str] = []
        self.errors: list[str] = []
        self._shelf = shelf
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(2)]

    def _run(self) -> None:
        while not self._over.wait(0.05):
            try:
                self.answers.append(self._shelf.call()["version"])
            except (AssertionError, httpx.HTTPError, ValueError) as error:
                self.errors.append(repr(error))

    def __enter__(self) -> Flow:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def test_a_folder_becomes_pods_and_versions_take_over_without_losing_an_event(shelf: Shelf) -> None:
    first = shelf.deploy(str(shelf.write("1")))
    assert first.returncode == 0, first.stdout + first.stderr
    answer = shelf.call()
    assert answer["version"] == "1"
    assert "65532" in answer["root"], "runs as root"
    assert "Read-only" in answer["root"], "its root can be written"

    with Flow(shelf) as flow:
        eventually(lambda: len(flow.answers) >= 20)
        second = shelf.deploy(str(shelf.write("2")))
        assert second.returncode == 0, second.stdout + second.stderr
        eventually(lambda: flow.answers[-20:].count("2") == 20)

        crashed = shelf.deploy(str(shelf.write("3", first="echo 'no ink' >&2; exit 3")))
        assert crashed.returncode == 1
        assert "no ink" in crashed.stderr
        assert "what was there goes on" in crashed.stderr

        nowhere = f"{shelf.registry.address}/pump@sha256:{'0' * 64}"
        missing = shelf.deploy(str(shelf.folder / "pump"), "--image", nowhere)
        assert missing.returncode == 1
        assert "not found" in missing.stderr.lower(), missing.stderr
        seen = len(flow.answers)
        eventually(lambda: len(flow.answers) >= seen + 20)
    assert flow.errors == []
    assert set(flow.answers) == {"1", "2"}
    assert flow.answers[-1] == "2"
    (live,) = json.loads(shelf.agent.run("get", "functions", "pump", "--output", "json").stdout)
    assert live["manifest"]["spec"]["image"].startswith(f"{shelf.registry.address}/pump@sha256:")


@pytest.mark.parametrize("isolation", ["process", "pod"])
def test_the_entry_point_does_its_work_in_a_real_container(shelf: Shelf, isolation: str) -> None:
    done = shelf.deploy(str(shelf.write(isolation, isolation=isolation)))
    assert done.returncode == 0, done.stdout + done.stderr
    for _ in range(5):
        assert shelf.call()["version"] == isolation
