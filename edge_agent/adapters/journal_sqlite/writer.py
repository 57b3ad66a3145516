"""Group commit: many ask, one thread writes, one fsync serves all that wait.

Enters: `Entries` from any thread. Leaves: each entry's `then`, in the order the entries came, after the fsync.
Guarantee: no `then` before its entries are on disk. A write that fails (disk full, I/O error) is tried again with the
same group for ever; meanwhile nothing is dropped, nothing is acknowledged, and `trouble` says why.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.ports import Entries

log = logging.getLogger(__name__)

Then = Callable[[], None]
Op = Callable[[sqlite3.Connection], None]
RETRY_EVERY = 1.0
"""Seconds between attempts while the disk refuses: a full disk is noticed to be free again within about that time."""
BURST_OVER = 0.1
"""Seconds without an entry after which a burst is over: its end does not linger, for those who wait are many."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Entries with their number, one more change where there is one, and what to call when they are safe."""

    number: int
    entries: Entries
    then: Then | None
    op: Op | None = None


class DiskTrouble(Exception):
    """The storage refused this write; the same write may succeed later."""


class Writer:
    """The one thread that writes. `write(group)` runs in it and raises `DiskTrouble` to be called again."""

    def __init__(
        self,
        write: Callable[[list[Waiting]], None],
        *,
        linger: float = 1.0,
        batch: int = 1000,
        on_trouble: Callable[[str], None] = lambda why: None,
    ) -> None:
        self._write = write
        self._linger = linger
        self._batch = batch
        self._on_trouble = on_trouble
        self._ready = threading.Condition()
        self._queue: deque[Waiting] = deque()
        self._samples = 0
        self._since = self._newest = 0.0
        self._urgent = self._burst = False
        self._closing = False
        self.number = 0
        self.pending = 0
        self.trouble = ""
        self.commits = 0
        self.durations: deque[float] = deque(maxlen=1024)
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def start(self, number: int) -> None:
        """Begin; the next entries get `number` + 1."""
        self.number = number
        self._thread.start()

    def put(self, entries: Entries, urgent: bool, then: Then | None, op: Op | None = None) -> int:
        """Queue entries and return their number."""
        with self._ready:
            if self._closing:
                raise RuntimeError("the journal is closed")
            self.number += 1
            self._newest = time.monotonic()
            if not self._queue:
                self._since = self._newest
            self._queue.append(Waiting(self.number, entries, then, op))
            self._samples += len(entries.samples)
            self.pending += len(entries.samples) + 1
            if urgent and not self._urgent:
                self._urgent = True
                self._ready.notify()
            elif len(self._queue) == 1 or self._samples >= self._batch:
                self._ready.notify()
            return self.number

    def close(self) -> None:
        """Write what is queued and stop; while the disk refuses, one last attempt is made."""
        with self._ready:
            self._closing = True
            self._ready.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _take(self) -> list[Waiting]:
        with self._ready:
            while not self._due():
                self._ready.wait(self._left())
            group = list(self._queue)
            self._queue.clear()
            self._burst = self._samples >= self._batch
            self._samples = 0
            self._urgent = False
            return group

    def _due(self) -> bool:
        if self._closing or self._urgent or self._samples >= self._batch:
            return True
        return bool(self._queue) and time.monotonic() >= self._moment()

    def _moment(self) -> float:
        """When what is queued is written at the latest."""
        moment = self._since + self._linger
        return min(moment, self._newest + BURST_OVER) if self._burst else moment

    def _left(self) -> float | None:
        return max(0.001, self._moment() - time.monotonic()) if self._queue else None

    def _run(self) -> None:
        while True:
            group = self._take()
            if group and not self._persist(group):
                log.error("stopping with %d entries not written; their boards were not told they are safe", len(group))
                return
            for waiting in group:
                if waiting.then is not None:
                    try:
                        waiting.then()
                    except Exception:
                        log.exception("a step after the commit failed; what was committed is safe")
            with self._ready:
                self.pending -= sum(len(waiting.entries.samples) + 1 for waiting in group)
            if self._closing and not self._queue:
                return

    def _persist(self, group: list[Waiting]) -> bool:
        while True:
            begun = time.perf_counter()
            try:
                self._write(group)
            except DiskTrouble as trouble:
                if str(trouble) != self.trouble:
                    self.trouble = str(trouble)
                    self._on_trouble(self.trouble)
                if self._closing:
                    return False
                time.sleep(RETRY_EVERY)
                continue
            self.durations.append(time.perf_counter() - begun)
            self.commits += 1
            if self.trouble:
                self.trouble = ""
                self._on_trouble("")
            return True
