"""What the cluster says of pods and nodes, and what follows from it.

Enters: the watches of both, on their threads. Leaves, on the loop's: workers that are over, pods that are strays, word
that the cluster is away or back. The first list comes before any pod is created: what an earlier life left is known by then.
"""

from __future__ import annotations

import logging
import time
from typing import Protocol

from edge_agent.adapters.cluster_kubernetes.api import Connection, Json, Watch
from edge_agent.adapters.cluster_kubernetes.pods import judge
from edge_agent.adapters.cluster_kubernetes.pods.document import Site
from edge_agent.adapters.cluster_kubernetes.pods.judge import End, view
from edge_agent.adapters.cluster_kubernetes.pods.names import Names
from edge_agent.adapters.cluster_kubernetes.pods.nodes import Nodes
from edge_agent.adapters.cluster_kubernetes.pods.orphans import PATIENCE, Orphans
from edge_agent.adapters.cluster_kubernetes.pods.removal import Removal
from edge_agent.adapters.cluster_kubernetes.pods.worker import CREATING, ENDING, THERE, PodWorker, Roll
from edge_agent.engine.functions.loop import NEVER, Loop

log = logging.getLogger(__name__)

STUCK = 10.0
"""Seconds no node takes a pod, after which it is given up: another start is tried later."""


class Follower(Protocol):
    """The runner."""

    def end(self, worker: PodWorker, end: End, *, speaks: bool = True) -> None:
        """It is over: have its pod deleted."""

    def gone(self, worker: PodWorker, end: End) -> None:
        """Its pod is no more."""

    def known(self) -> None:
        """All pods there are have been seen for the first time."""

    def lost(self, reason: str) -> None:
        """The cluster is away."""

    def restored(self) -> None:
        """What was away is there again."""


class Sight:
    """`api.Sink` of pods."""

    def __init__(
        self, loop: Loop, cluster: Connection, site: Site, roll: Roll, *, names: Names, orphans: Orphans, removal: Removal,
        follower: Follower,
    ) -> None:  # fmt: skip
        self._loop = loop
        self._roll = roll
        self._names = names
        self._orphans = orphans
        self._removal = removal
        self._follower = follower
        self.known = False
        """All pods there are have been listed once."""
        self.reason = ""
        """Why the cluster cannot be seen now; empty: it can, or was not asked yet."""
        self._look = loop.alarm(self._review)
        self._give_up = loop.alarm(self._dismiss_orphans)
        self.nodes = Nodes(lambda *told: loop.post(self._node, *told))
        self._watches = [
            Watch(cluster, site.pods, self, selector=site.selector),
            Watch(cluster, "/api/v1/nodes", self.nodes),
        ]

    def start(self) -> None:
        for watch in self._watches:
            watch.start()

    def stop(self) -> None:
        for watch in self._watches:
            watch.stop()

    # -- the watch's thread

    def changed(self, item: Json) -> None:
        self._loop.post(self._seen, item)

    def removed(self, item: Json) -> None:
        self._loop.post(self._vanished, item)

    def synced(self) -> None:
        self._loop.post(self._synced)

    def away(self, reason: str) -> None:
        self._loop.post(self._lost, reason)

    # -- the loop's thread

    def _seen(self, item: Json) -> None:
        name = item["metadata"]["name"]
        worker = self._roll.pods.get(name)
        if worker is None:
            if not self._removal.owes(name) and not self._orphans.consider(item):
                self._removal.owe(name)
        elif worker.state != ENDING:
            self._judge(worker, item)

    def _judge(self, worker: PodWorker, item: Json) -> None:
        now = view(item, worker.spec, restarts=worker.restarts)
        worker.node = now.node
        if stranger := self._names.settle(worker.token, now.addresses):
            words = f"was ended, for its name was used from {stranger}, which is not its pod's address"
            self._follower.end(worker, End(words))
        elif now.end is not None:
            self._follower.end(worker, now.end)
        elif now.unschedulable:
            worker.stuck = worker.stuck or time.monotonic()
            worker.end = End(f"could not be placed: {now.unschedulable}", "unschedulable")
            self._look.no_later_than(worker.stuck + STUCK)
        else:
            worker.stuck, worker.end = 0.0, None

    def _vanished(self, item: Json) -> None:
        name = item["metadata"]["name"]
        self._orphans.forget(name)
        worker = self._roll.pods.get(name)
        if worker is not None and worker.state in (CREATING, THERE):
            last = view(item, worker.spec, restarts=worker.restarts).end if "spec" in item else None
            self._follower.gone(worker, last or judge.deleted(item))

    def _synced(self) -> None:
        was_away, self.reason = self.reason, ""
        if not self.known:
            self.known = True
            self._give_up.set(time.monotonic() + PATIENCE)
            self._follower.known()
        elif was_away:
            log.info("the cluster is back")
        if was_away:
            self._follower.restored()
        self._removal.pay()

    def _lost(self, reason: str) -> None:
        self.reason = reason
        log.warning("the cluster is away; workers that are there go on: %s", reason)
        self._follower.lost(reason)

    def _node(self, name: str, ready: bool, why: str) -> None:
        if ready:
            self._follower.restored()
            return
        lost = [worker for worker in self._roll.every(CREATING, THERE) if worker.node == name]
        log.warning("node %s is not ready, %d workers are lost with it: %s", name, len(lost), why)
        for worker in lost:
            self._follower.end(worker, End(f"was lost with its node {name}: Kubernetes says: {why}"), speaks=False)

    def _review(self) -> None:
        now, soonest = time.monotonic(), NEVER
        for worker in self._roll.every(CREATING, THERE):
            if worker.stuck and worker.end is not None:
                if now >= worker.stuck + STUCK:
                    self._follower.end(worker, worker.end, speaks=False)
                else:
                    soonest = min(soonest, worker.stuck + STUCK)
        self._look.no_later_than(soonest)

    def _dismiss_orphans(self) -> None:
        for name in self._orphans.dismiss():
            self._removal.owe(name)
