"""What workers print: looked at a moment after a long-lived one was heard of, and when somebody asks for it.

Enters: word that a worker has sent a request. Leaves: `printed`. Belongs to the loop's thread; reading is an errand.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from edge_agent.adapters.cluster_kubernetes.api import Connection
from edge_agent.adapters.cluster_kubernetes.pods import words
from edge_agent.adapters.cluster_kubernetes.pods.document import Site
from edge_agent.adapters.cluster_kubernetes.pods.errands import Errands
from edge_agent.adapters.cluster_kubernetes.pods.worker import THERE, PodWorker
from edge_agent.engine.functions.loop import NEVER, Loop
from edge_agent.errors import EdgeError

LISTEN = 2.0
"""Seconds after a long-lived worker was heard of, when its log is looked at."""
READERS = 2
"""Logs read at a time, so that creations are not held up."""

Printed = Callable[[str, bytes], None]


class Ears:
    def __init__(self, loop: Loop, errands: Errands, cluster: Connection, site: Site, printed: Printed) -> None:
        self._errands = errands
        self._cluster = cluster
        self._site = site
        self._printed = printed
        self._due: dict[str, PodWorker] = {}
        """Whose logs are to be looked at, by id, in the order they were heard of."""
        self._readers = 0
        self._look = loop.alarm(self._review)

    def heard(self, worker: PodWorker) -> None:
        """It has sent a request: it may have printed something, too."""
        if not worker.heard:
            worker.heard = True
            if worker.spec.isolation != "pod":
                self.listen(worker, LISTEN)

    def listen(self, worker: PodWorker, wait: float = 0.0) -> None:
        """Look at its log in `wait` seconds."""
        worker.listen_at = time.monotonic() + wait
        self._due[worker.id] = worker
        self._look.no_later_than(worker.listen_at)

    def take(self, worker: PodWorker, text: bytes) -> None:
        """It printed this."""
        if text:
            worker.words.keep(text)
            self._printed(worker.id, text)

    def _review(self) -> None:
        now, soonest = time.monotonic(), NEVER
        for worker in list(self._due.values()):
            if worker.state != THERE:
                del self._due[worker.id]
            elif worker.listen_at > now:
                soonest = min(soonest, worker.listen_at)
            elif self._readers < READERS and not worker.reading:
                del self._due[worker.id]
                self._read(worker)
        self._look.no_later_than(soonest)

    def _read(self, worker: PodWorker) -> None:
        worker.reading, worker.heard = True, False
        self._readers += 1
        read = partial(words.read, self._cluster, f"{self._site.pods}/{worker.pod}", worker.words.since)
        self._errands.run(read, partial(self._was_read, worker))

    def _was_read(self, worker: PodWorker, found: tuple[bytes, bytes] | None, _error: EdgeError | None) -> None:
        self._readers -= 1
        worker.reading = False
        if found is not None and worker.state == THERE:
            text, worker.words.since = found
            self.take(worker, text)
        self._review()
