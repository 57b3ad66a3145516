"""Calls to the Kubernetes API, on threads of their own: a slow cluster must not hold up the function engine.

Enters: calls, and what to do with what came of them. Leaves: that, on the loop's thread.
Guarantee: at most `THREADS` calls at a time; nothing is lost or put in another order than that of one queue. How many may
wait is for the caller to limit (`waiting`): one errand at a time for each worker, and no more workers than that.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from edge_agent.engine.functions.loop import Loop
from edge_agent.errors import EdgeError, Unavailable

log = logging.getLogger(__name__)
T = TypeVar("T")
Then = Callable[[T | None, EdgeError | None], None]
"""Called with what the call returned, or with why it did not."""

THREADS = 4


class Errands:
    """`threads` are started with the first errand."""

    def __init__(self, loop: Loop, threads: int = THREADS) -> None:
        self._loop = loop
        self._queue: queue.SimpleQueue[tuple[Callable[[], Any], Then[Any]] | None] = queue.SimpleQueue()
        self._most = threads
        self._threads: list[threading.Thread] = []
        self._done: queue.SimpleQueue[tuple[Then[Any], Any, EdgeError | None]] = queue.SimpleQueue()
        self.waiting = 0
        """Those that were not done yet."""

    def run(self, call: Callable[[], T], then: Then[T]) -> None:
        """Loop. Have `call()` made on a thread, then `then(result, error)` on the loop's."""
        if len(self._threads) < self._most:
            thread = threading.Thread(target=self._work, name="cluster", daemon=True)
            self._threads.append(thread)
            thread.start()
        self.waiting += 1
        self._queue.put((call, then))

    def turn(self, until: float) -> bool:
        """Loop. Wait for one to be done and see to it, for whoever holds the loop; False at `until` (monotonic seconds)."""
        try:
            then, result, problem = self._done.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            return False
        self.waiting -= 1
        then(result, problem)
        return True

    def close(self, timeout: float) -> None:
        """Nothing is taken any more; wait so long for what is under way."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(timeout)

    def _work(self) -> None:
        while (errand := self._queue.get()) is not None:
            call, then = errand
            result, problem = None, None
            try:
                result = call()
            except EdgeError as error:
                problem = error
            except Exception as error:  # a defect of ours must not end the thread: it is told like any other
                log.exception("a call to the cluster failed")
                problem = Unavailable(f"a call to the cluster failed: {type(error).__name__}: {error}")
            self._done.put((then, result, problem))
            self._loop.post(self._deliver)

    def _deliver(self) -> None:
        if not self._done.empty():  # else `turn` was quicker
            self.turn(0.0)
