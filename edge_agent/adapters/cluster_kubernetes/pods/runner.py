"""Workers as pods of a Kubernetes cluster.

Enters: start, renew and kill from the engine; what the cluster says of pods and nodes (`sight`). Leaves: `exited` with the
reason in Kubernetes' own words, `printed`, `adopted`, `restored`.
Guarantee: all decisions are made on the loop's thread, all calls to the cluster on others (`errands`), so a cluster that is
slow or away holds up nothing: workers there go on being served. A pod that is no longer needed is deleted, at the latest when
the cluster is back; one that the cluster ends, loses or cannot start is an `exited` at once. What an earlier life left is
taken over or removed (`orphans`); other agents' pods are never touched.
Not chosen: Jobs or Deployments, which write an object more for each pod, and replace what ends on their own terms.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from edge_agent.adapters.cluster_kubernetes.api import Connection, Json
from edge_agent.adapters.cluster_kubernetes.pods import judge, standing
from edge_agent.adapters.cluster_kubernetes.pods.belongings import Belongings
from edge_agent.adapters.cluster_kubernetes.pods.document import Site, fingerprint, pod
from edge_agent.adapters.cluster_kubernetes.pods.ears import Ears
from edge_agent.adapters.cluster_kubernetes.pods.errands import Errands
from edge_agent.adapters.cluster_kubernetes.pods.gate import Gate
from edge_agent.adapters.cluster_kubernetes.pods.judge import End
from edge_agent.adapters.cluster_kubernetes.pods.marks import Marks
from edge_agent.adapters.cluster_kubernetes.pods.orphans import Orphan, Orphans
from edge_agent.adapters.cluster_kubernetes.pods.removal import Removal
from edge_agent.adapters.cluster_kubernetes.pods.sight import Sight
from edge_agent.adapters.cluster_kubernetes.pods.worker import CREATING, ENDING, HELD, THERE, PodWorker, Roll
from edge_agent.domain.function import FunctionSpec
from edge_agent.engine.functions.loop import Loop
from edge_agent.errors import Conflict, EdgeError, Unavailable
from edge_agent.ports import ClusterState, WorkerEvents

log = logging.getLogger(__name__)

MOST_WAITING = 512
"""Calls that wait for the cluster, above which no worker is started."""
TIDY, SOON = 60.0, 2.0
"""Seconds between looks at secrets and policies; and until one after a worker has gone whose function is another by now."""
KILLED = End("was killed")
AWAY = "cluster-away"

Declared = Callable[[], Mapping[str, FunctionSpec]]


class KubernetesRunner:
    """`ports.Runner`. `gate` is where pods ask; `declared` tells the functions there are, from any thread."""

    start_timeout = 300.0
    """Seconds a worker may take before it first asks: an image may have to be fetched over Wi-Fi. What Kubernetes says it
    cannot do ends a start long before."""
    limits = "Kubernetes (memory and cpu limits of each pod)"

    def __init__(
        self, loop: Loop, gate: Gate, events: WorkerEvents, cluster: Connection, site: Site, *,
        belongings: Belongings, marks: Marks, declared: Declared,
    ) -> None:  # fmt: skip
        self._gate = gate
        self._events = events
        self._cluster = cluster
        self._site = site
        self._belongings = belongings
        self._marks = marks
        self._declared = declared
        self.left_out: Counter[str] = Counter()
        """See `app.workers.Workers`; Kubernetes keeps no count of what it rotates away."""
        self.counts: Counter[str] = Counter()
        """Pods by what became of them: created, adopted, deleted, and each `End.kind`."""
        self._roll = Roll()
        self._errands = Errands(loop)
        self._removal = Removal(loop, self._errands, cluster, site)
        self._orphans = Orphans(marks)
        self._ears = Ears(loop, self._errands, cluster, site, events.printed)
        self._tidy = loop.alarm(self._keep_tidy)
        self._closed = False
        gate.heard, gate.given = self._heard, self._given
        self._sight = Sight(
            loop, cluster, site, self._roll, names=gate.names, orphans=self._orphans, removal=self._removal, follower=self
        )  # fmt: skip
        self._sight.start()

    # -- orders of the engine

    def start(self, worker_id: str, function: FunctionSpec) -> None:
        """See `ports.Runner`."""
        if self._closed:
            raise Unavailable("the agent is stopping")
        if not function.image:
            raise Unavailable(
                f"function {function.name} cannot be started: it has no image, and on a cluster a function is one; "
                "`edgectl functions deploy` makes it of a folder"
            )
        if self._sight.reason:
            raise Unavailable(f"function {function.name} cannot be started: {self._sight.reason}")
        if self._errands.waiting >= MOST_WAITING:
            raise Unavailable(f"the cluster has {MOST_WAITING} calls to answer before another pod is asked for")
        self._belongings.sources(function)  # says what is missing, before anything is begun
        worker = self._roll.workers[worker_id] = PodWorker(worker_id, function)
        if self._sight.known:
            self._begin(worker)

    def renew(self, worker_id: str) -> None:
        """A pod's entry point does it unasked."""

    def kill(self, worker_id: str) -> None:
        """See `ports.Runner`."""
        worker = self._roll.workers.get(worker_id)
        if worker is None or worker.killed:
            return
        worker.killed = True
        if worker.state == HELD:
            self.gone(worker, KILLED)
        elif worker.state == THERE:
            self.end(worker, KILLED)

    def log(self, worker_id: str) -> str:
        """What is known of it; more is asked for."""
        worker = self._roll.workers.get(worker_id)
        if worker is None:
            return ""
        if worker.state == THERE:
            self._ears.listen(worker)
        return worker.words.tail

    def close(self, timeout: float = 20.0) -> None:
        """See `ports.Runner`. What cannot be deleted in this time is an orphan of the next life."""
        if self._closed:
            return
        self._closed = True
        self._sight.stop()
        for worker in self._roll.every():
            worker.heard = False  # no time for last words
            self.kill(worker.id)
        for name in self._orphans.dismiss():
            self._removal.owe(name)
        until = time.monotonic() + timeout
        while (self._roll.workers or (self._removal.trying and not self._sight.reason)) and self._errands.turn(until):
            pass
        for worker in self._roll.every():
            self.gone(worker, KILLED)
        self._errands.close(1.0)
        self._cluster.close()

    def standing(self) -> ClusterState:
        """How the cluster is. Any thread; some seconds at most."""
        return standing.ask(self._cluster, self._site.namespace, self._sight.reason, self._removal.owed)

    # -- a worker's life

    def _begin(self, worker: PodWorker) -> None:
        try:
            sources = self._belongings.sources(worker.spec)
        except Unavailable as error:
            self.gone(worker, End(f"could not be created: {error}", "config-error"))
            return
        if orphan := self._orphans.claim(fingerprint(worker.spec, sources, self._site)):
            self._adopt(worker, orphan)
            return
        worker.token = self._gate.names.issue(worker.id)
        worker.state = CREATING
        self._roll.pods[worker.pod] = worker
        document = pod(worker.pod, worker.token, worker.spec, sources, self._site)
        self._errands.run(partial(self._create, worker.spec, document), partial(self._created, worker))

    def _adopt(self, worker: PodWorker, orphan: Orphan) -> None:
        worker.pod, worker.token = orphan.name, orphan.token
        worker.restarts, worker.node, worker.state = orphan.view.restarts, orphan.view.node, THERE
        self._roll.pods[worker.pod] = worker
        self._gate.names.take_over(worker.token, worker.id)
        self._gate.names.settle(worker.token, orphan.view.addresses)
        self.counts["adopted"] += 1
        self._events.adopted(worker.id)

    def _create(self, spec: FunctionSpec, document: Json) -> None:
        """Errand."""
        self._belongings.ensure(spec)
        try:
            self._cluster.create(self._site.pods, document)
        except Conflict:  # an answer that was lost: its name is ours alone
            self._cluster.get(f"{self._site.pods}/{document['metadata']['name']}")

    def _created(self, worker: PodWorker, _result: None, error: EdgeError | None) -> None:
        if worker.state != CREATING:  # it was over before we were told that it is there
            return
        if error is not None:
            end = judge.refused(str(error))
            if isinstance(error, Unavailable):  # it may have come about all the same
                self._removal.owe(worker.pod)
                end = end._replace(kind=AWAY)
            self.gone(worker, end)
            return
        self.counts["created"] += 1
        worker.state = THERE
        if worker.killed:
            self.end(worker, KILLED)

    def end(self, worker: PodWorker, end: End, *, speaks: bool = True) -> None:
        """It is over, or to be: hear its last words if it `speaks`, and delete it."""
        worker.state, worker.end = ENDING, KILLED if worker.killed else end
        self._leave(worker)
        speaks = speaks and (worker.heard or not worker.killed) and not self._sight.reason
        self._removal.remove(worker.pod, worker.words.since if speaks else None, partial(self._removed, worker))

    def _removed(self, worker: PodWorker, text: bytes) -> None:
        self.counts["deleted"] += 1
        if worker.id in self._roll.workers:
            self._ears.take(worker, text)
            self.gone(worker, worker.end or KILLED)

    def gone(self, worker: PodWorker, end: End) -> None:
        """See `sight.Follower`."""
        end = KILLED if worker.killed else end
        worker.state = ENDING
        if self._roll.strike(worker):
            self._leave(worker)
            self._marks.forget(worker.pod)
            spec = worker.spec
            if (spec.secrets or spec.egress) and self._declared().get(spec.name) != spec:
                self._tidy.no_later_than(time.monotonic() + SOON)
            self.counts[end.kind] += 1
            self._events.exited(worker.id, end.reason, worker.words.tail, end.kind)

    def _leave(self, worker: PodWorker) -> None:
        """Nobody asks in its name any more."""
        self._gate.names.revoke(worker.token)
        self._gate.dismiss(worker.id)

    # -- what the cluster does (`sight.Follower`)

    def known(self) -> None:
        """See `sight.Follower`."""
        self._gate.open(self._orphans)
        self._tidy.set(time.monotonic() + TIDY)
        for worker in self._roll.every(HELD):
            self._begin(worker)

    def lost(self, reason: str) -> None:
        """See `sight.Follower`."""
        for worker in self._roll.every(HELD):
            self.gone(worker, End(f"could not be created: {reason}", AWAY))

    def restored(self) -> None:
        """See `sight.Follower`."""
        self._events.restored()

    # -- what workers do (`gate`)

    def _heard(self, worker_id: str, *, fresh: bool) -> None:
        if worker := self._roll.workers.get(worker_id):
            if fresh:
                self._marks.forget(worker.pod)
            self._ears.heard(worker)

    def _given(self, worker_id: str) -> None:
        worker = self._roll.workers.get(worker_id)
        if worker is not None and worker.spec.isolation != "shared":
            self._marks.note(worker.pod)

    # -- what pods need

    def _keep_tidy(self) -> None:
        """Secrets that have changed, and what nobody needs any more."""
        used = list({worker.spec.name: worker.spec for worker in self._roll.workers.values()}.values())
        if not self._sight.reason and not self._closed:
            self._errands.run(partial(self._tidy_up, used), _tidied)
        self._tidy.set(time.monotonic() + TIDY)

    def _tidy_up(self, used: list[FunctionSpec]) -> None:
        """Errand."""
        self._belongings.refresh(used)
        self._belongings.sweep(self._declared(), used)


def _tidied(_result: Any, error: EdgeError | None) -> None:
    if error is not None:
        log.warning("secrets and network policies could not be looked after: %s", error)
