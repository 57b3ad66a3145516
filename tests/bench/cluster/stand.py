"""What it is played on: a cluster of its own, the image, and a function engine whose runner is the product's.

Guarantee: the cluster and all its pods end with the `with`.
"""

from __future__ import annotations

import itertools
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from edge_agent.adapters.cluster_kubernetes.api import Connection
from edge_agent.adapters.cluster_kubernetes.pods import Belongings, Gate, KubernetesRunner, Marks, Site
from edge_agent.domain.function import PoolSpec
from edge_agent.domain.invocation import Invocation, Settlement
from edge_agent.engine.functions.dispatch import Engine
from edge_agent.engine.functions.loop import Loop
from edge_agent.ports import Entries, Runner
from edge_agent.runtime_api.server import RuntimeServer
from tests.bench.stage import ROOT
from tests.cluster import Cluster, busybox
from tests.functions.shelf import SHELL, Shelf
from tests.waiting import eventually

NAMESPACE = "edge-functions"
IMAGE = "edge.test/bench:1"
ANSWER = """echo '{"ok":true}'"""
ONCE = SHELL.replace("@HANDLE@", ANSWER)
AGAIN = ONCE.replace("exec ", "").replace("\nanswer=", "\nwhile :; do\nanswer=") + "done\n"
"""The same for many events: what `shared` asks of a function."""
PREPARED: tuple[dict[str, Any], ...] = (
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
    {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "edge-function"}, "value": 0},
)
EVENT = {"specversion": "1.0", "source": "/edge/bench", "type": "bench", "data": {"device": "tank-1", "value": 18.2}}
LONGEST = 900.0
"""Seconds until a burst must have ended."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Events that came at once: milliseconds until each was answered, and seconds until all were."""

    took: list[float]
    seconds: float


class Stand:
    """`with Stand(nodes=3, cpus=0.4) as stand: stand.burst("pod", 10)`."""

    def __init__(self, nodes: int = 1, *, cpus: float | None = None, max_pods: int = 250, most: int = 100) -> None:
        """`cpus`: seconds of processor time a second each node may use; `most` workers of a function."""
        self.cluster = Cluster(nodes=nodes, name=f"bench{nodes}", cpus=cpus, max_pods=max_pods)
        self._most = most
        self._ending = ExitStack()
        self._numbers = itertools.count()
        self._waited: dict[str, Waited] = {}

    def __enter__(self) -> Stand:
        with ExitStack() as undo:
            undo.enter_context(self.cluster)
            self.cluster.apply(*PREPARED)
            self.cluster.load(image())
            folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir="/var/tmp")))
            self.shelf = Shelf(folder, runner=self._runner)
            for isolation, script in (("pod", "once"), ("process", "once"), ("shared", "again")):
                self.shelf.declare(
                    isolation, source="", image=IMAGE, command=(f"/function/{script}",), isolation=isolation,
                    pool=PoolSpec(0, self._most, 600.0), timeout=120.0,
                )  # fmt: skip
            self.shelf.start()
            undo.callback(self.shelf.stop)
            self.shelf.engine.listeners[:] = [self._heard]
            self._ending = undo.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ending.close()

    def _runner(self, loop: Loop, server: RuntimeServer, engine: Engine) -> Runner:
        cluster = Connection(self.cluster.kubeconfig)
        site = Site(NAMESPACE, "bench", self.cluster.runtime_address, 8090)
        return KubernetesRunner(
            loop, Gate(server, (site.address, site.port)), engine, cluster, site,
            belongings=Belongings(cluster, site, self.shelf.folder / "secrets"), marks=Marks(self.shelf.folder / "marks"),
            declared=lambda: self.shelf.functions,
        )  # fmt: skip

    def fill(self, function: str, count: int) -> float:
        """Have `count` workers wait; seconds until they do."""
        begun = time.perf_counter()
        self.shelf.engine.scale(function, count)
        eventually(lambda: self._idle(function) >= count, timeout=LONGEST, every=0.05)
        return time.perf_counter() - begun

    def empty(self, function: str) -> float:
        """Have no worker wait; seconds until the cluster has none either."""
        begun = time.perf_counter()
        spec = self.shelf.functions[function]
        self.shelf.engine.scale(function, 0)
        self.shelf.engine.replace({name: each for name, each in self.shelf.functions.items() if name != function})
        eventually(lambda: not self._pods(function), timeout=LONGEST, every=0.1)
        seconds = time.perf_counter() - begun
        self.shelf.engine.replace({**self.shelf.functions, function: spec})
        return seconds

    def burst(self, function: str, count: int) -> Burst:
        """`count` events recorded at once; until all are answered."""
        waited = Waited(count)
        self.listen(function, waited)
        begun = time.perf_counter()
        self.send(function, count)
        if not waited.done.wait(LONGEST):
            raise TimeoutError(f"{len(waited.at)} of {count} have ended; {self.shelf.engine.status()}")
        return Burst([(at - begun) * 1000 for at in waited.at], max(waited.at) - begun)

    def send(self, function: str, count: int) -> None:
        """Record events and have them dispatched, as the pipeline does."""
        events = []
        for _ in range(count):
            id = f"tank-1/b/{next(self._numbers)}/bench"
            events.append(Invocation(id, function, msgspec.json.encode(EVENT | {"id": id}), int(time.time() * 1000)))
        self.shelf.journal.commit(Entries(invocations=events), then=lambda: self.shelf.engine.submit(events))

    def listen(self, function: str, waited: Waited) -> None:
        """From now on `waited` is told how the function's events end."""
        self._waited[function] = waited

    def _heard(self, settled: Settlement, _invocation: Invocation) -> None:
        if settled.state in ("answered", "dead"):
            self._waited[settled.function].take(settled)

    def _idle(self, function: str) -> int:
        return int(self.shelf.engine.status()[function]["workers"]["idle"])

    def _pods(self, function: str) -> list[Any]:
        path = f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=edge.internal/function={function}"
        found: list[Any] = self.cluster.control.get(path)["items"]
        return found


class Waited:
    """The answers to a burst."""

    def __init__(self, count: int) -> None:
        self.at: list[float] = []
        self.done = threading.Event()
        self._count = count

    def take(self, settled: Settlement) -> None:
        if settled.state == "dead":
            raise RuntimeError(f"{settled.id} is a dead letter: {settled.outcome}")
        self.at.append(time.perf_counter())
        if len(self.at) == self._count:
            self.done.set()


def image() -> Any:
    """The functions, behind the product's own entry point, on the base that stands in for Alpine."""
    entry = (ROOT / "images" / "entry" / "edge-entry").read_text()
    files = {"usr/local/bin/edge-entry": entry, "function/once": ONCE, "function/again": AGAIN}
    return busybox(IMAGE, files, entrypoint=("/usr/local/bin/edge-entry",), user="65532")
