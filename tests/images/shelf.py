"""One node, a registry with TLS and password, an agent whose functions are pods, and our base images in the registry.

The bases are built as a user builds them, with `images/build`; stand_in.py and packages.py say what is under them here.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.agent import EDGECTL, Agent
from tests.broker import Broker, free_port
from tests.cluster import Cluster
from tests.images import packages, stand_in
from tests.images.registry import PASSWORD, USER, Registry

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
    root=$(echo $(touch /x 2>&1; id -u; uname -m))
    /bin/busybox wget -q -O /dev/null --post-data '{"version": "%s", "root": "'"$root"'"}' "$api/$id/response"
done
"""


class Shelf:
    """`deploy` and `call` are the user's; `build` is `images/build`."""

    def __init__(self, cluster: Cluster, registry: Registry, folder: Path, broker: Broker) -> None:
        self.folder, self.registry, self.cluster, self.broker = folder, registry, cluster, broker
        self.address = cluster.runtime_address
        """This machine's, as pods see it."""
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
        archives = packages.write(folder / "packages")
        self.environment = {**stand_in.environment(), **archives, "CONTAINERS_STORAGE_CONF": str(configuration)}
        self._login()
        stand_in.base(folder, "localhost/stand-in:1", ("linux/amd64", "linux/arm64"))
        self.build("shell", platforms="linux/amd64,linux/arm64")

    def build(self, *words: str, platforms: str = "linux/amd64") -> str:
        """`images/build --push`; what it printed. AssertionError with what it said."""
        done = self.try_build("--push", "--platform", platforms, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def try_build(self, *words: str) -> subprocess.CompletedProcess[str]:
        line = [str(BUILD), "--registry", self.registry.address, "--base", "localhost/stand-in:1"]
        line += ["--authfile", str(self.folder / "auth.json"), "--cert-dir", str(self.folder / "ca"), *words]
        return subprocess.run(line, env=self.environment, capture_output=True, text=True, check=False, timeout=300)

    def _login(self) -> None:
        """Of who builds here, and of the node that pulls."""
        (self.folder / "ca").mkdir()
        (self.folder / "ca" / "ca.crt").write_bytes(self.registry.ca.read_bytes())
        word = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        (self.folder / "auth.json").write_text(json.dumps({"auths": {self.registry.address: {"auth": word}}}))
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
        """The folder of `pump`, which answers its version."""
        made = self.folder / "pump"
        made.mkdir(exist_ok=True)
        (made / "function.yaml").write_text(MANIFEST % isolation)
        (made / "Containerfile").write_text(CONTAINERFILE)
        (made / "bootstrap").write_text(BOOTSTRAP % (first, version))
        (made / "bootstrap").chmod(0o755)
        return made

    def deploy(self, *words: str) -> subprocess.CompletedProcess[str]:
        options = ["--data", str(self.agent.data), "--config", str(self.agent.config)]
        line = [EDGECTL, "functions", "deploy", *words, *options]
        return subprocess.run(line, env=self.environment, capture_output=True, text=True, check=False, timeout=180)

    def deployed(self, *words: str) -> None:
        done = self.deploy(*words)
        assert done.returncode == 0, done.stdout + done.stderr

    def call(self, name: str = "pump", data: Any = None) -> Any:
        answer = self.agent.post(f"/functions/{name}/invocations", data or {})
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def standing(folder: Path) -> Iterator[Shelf]:
    """All of it, until the end of the block."""
    with Cluster(nodes=1, name="img") as cluster:
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "edge-functions"}})
        cluster.apply({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "edge-function"},
            "value": 1000, "preemptionPolicy": "Never",
        })  # fmt: skip
        registry = Registry(folder / "registry", cluster.runtime_address).start()
        port = free_port()
        try:
            with Broker(port=port, extra=[f"listener {port} {cluster.runtime_address}"]) as broker:
                made = Shelf(cluster, registry, folder, broker)
                with made.agent:
                    yield made
        finally:
            registry.stop()
