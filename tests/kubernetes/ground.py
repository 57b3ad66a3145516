"""What runner tests stand on: a cluster with all of k3s/base in it, and images that do as they are told.

Enters: a cluster of `tests.cluster`. Leaves: runners on it, with the account and the rights of an installed agent and within
the quota of one; and what is left in it afterwards.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_agent.adapters.cluster_kubernetes.api import Connection
from edge_agent.adapters.cluster_kubernetes.pods import Belongings, Gate, KubernetesRunner, Marks, Site
from edge_agent.domain.function import FunctionSpec
from edge_agent.engine.functions.dispatch import Engine
from edge_agent.engine.functions.loop import Loop
from edge_agent.ports import WorkerEvents
from edge_agent.runtime_api.server import RuntimeServer
from tests.cluster import Cluster, OwnCluster, busybox
from tests.functions.shelf import Shelf
from tests.kubernetes_manifests.objects import ACCOUNT, NAMESPACE, prepare
from tests.waiting import eventually

ENTRY = Path(__file__).parents[2] / "images" / "entry" / "edge-entry"
IMAGE = "edge.test/function:1"
ASK = 'wget() { /bin/busybox wget "$@"; }; next=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next\n'
"""What the scripts of the runners' suite begin with."""

SERVE = r"""
while :; do
    said=$(wget -qS -O - $next 2>&1) || exit 1
    id=${said#*Request-Id: }; id=${id%%[!0-9a-f-]*}
    @WORK@
    wget -q -O /dev/null --post-data "\"$AWS_LAMBDA_LOG_STREAM_NAME\"" ${next%next}$id/response || exit 1
    [ "$MANY" ] || exit 0
done
"""
"""A function that answers with the name of its pod, after some work."""

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


class Ground:
    """A cluster made ready for functions. One at a time uses it; `port` is another one for each runner."""

    _ports = itertools.count(18090)

    def __init__(self, cluster: Cluster | OwnCluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        image = busybox(
            IMAGE, {"usr/local/bin/edge-entry": ENTRY.read_bytes()}, entrypoint=("/usr/local/bin/edge-entry",)
        )
        cluster.load(image.write(folder / "function.tar"))
        prepare(cluster)
        self.account = cluster.kubeconfig_for(*ACCOUNT)
        """The agent's own kubeconfig; `cluster.kubeconfig` is the administrator's."""

    @property
    def pods(self) -> list[dict[str, Any]]:
        """As the API server has them."""
        return list(self.cluster.control.get(PODS)["items"])

    def site(self, name: str = "home") -> Site:
        return Site(NAMESPACE, name, self.cluster.runtime_address, next(self._ports))

    def settings(self) -> dict[str, Any]:
        """Of an agent of its own on this cluster."""
        return {
            "functions.runner": "kubernetes", "kubernetes.kubeconfig": str(self.account), "kubernetes.namespace": NAMESPACE,
            "kubernetes.runtime_address": self.cluster.runtime_address, "kubernetes.runtime_port": next(self._ports),
        }  # fmt: skip

    def cleared(self) -> None:
        """Wait until no pod of a function is left."""
        eventually(lambda: not self.pods, timeout=60, every=0.1)


def shell(name: str, script: str, **more: Any) -> FunctionSpec:
    """A function that is a script in the image."""
    return FunctionSpec(name, image=IMAGE, command=("/bin/busybox", "sh", "-c"), args=(ASK + script,), **more)


def serving(name: str, work: str = ":", **more: Any) -> FunctionSpec:
    """A function that does `work` (a line of shell), then answers with its pod's name."""
    env = {"MANY": "yes"} if more.get("isolation") == "shared" else {}
    return shell(name, SERVE.replace("@WORK@", work), env=env, **more)


class Pods(Shelf):
    """A function engine whose workers are pods of this ground. `kill` is what a power cut does to the agent."""

    def __init__(self, ground: Ground, folder: Path, **more: Any) -> None:
        self.ground = ground
        self.site = ground.site()
        self.kubeconfig = ground.account
        super().__init__(folder, runner=self._make, **more)

    def _make(self, loop: Loop, server: RuntimeServer, engine: Engine) -> KubernetesRunner:
        return make(
            self.ground, loop, server, engine, self.folder,
            site=self.site, kubeconfig=self.kubeconfig, declared=lambda: self.functions,
        )  # fmt: skip

    def add(self, spec: FunctionSpec) -> FunctionSpec:
        """One more function, also while the engine runs."""
        self.functions[spec.name] = spec
        if hasattr(self, "engine"):
            self.engine.replace(self.functions)
        return spec

    @property
    def runner(self) -> KubernetesRunner:
        found = self.engine.runner
        assert isinstance(found, KubernetesRunner)
        return found

    def state(self, function: str) -> dict[str, Any]:
        return dict(self.engine.status()[function])

    def pods(self, function: str) -> list[dict[str, Any]]:
        return [pod for pod in self.ground.pods if pod["metadata"]["labels"].get("edge.internal/function") == function]


def make(
    ground: Ground, loop: Loop, server: RuntimeServer, events: WorkerEvents, folder: Path, *,
    site: Site | None = None, kubeconfig: Path | None = None, declared: Callable[[], dict[str, FunctionSpec]] = dict,
) -> KubernetesRunner:  # fmt: skip
    """A runner; on the loop's thread."""
    site = site or ground.site()
    cluster = Connection(kubeconfig or ground.account)
    (folder / "secrets").mkdir(parents=True, exist_ok=True)
    return KubernetesRunner(
        loop, Gate(server, (site.address, site.port)), events, cluster, site,
        belongings=Belongings(cluster, site, folder / "secrets"), marks=Marks(folder / "marks"), declared=declared,
    )  # fmt: skip
