"""Things to be done every so often, by one thread: rule timers, the heartbeat, watching the disk."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)


class Jobs:
    """`every(seconds, job)` before `start`. A job that fails is logged and goes on at its next time."""

    def __init__(self) -> None:
        self._jobs: list[tuple[float, Callable[[], None]]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="timer", daemon=True)

    def every(self, seconds: float, job: Callable[[], None]) -> None:
        self._jobs.append((seconds, job))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(10.0)

    def _run(self) -> None:
        now = time.monotonic()
        due = [now for _ in self._jobs]
        while not self._stopping.is_set():
            now = time.monotonic()
            for index, (period, job) in enumerate(self._jobs):
                if now >= due[index]:
                    due[index] = now + period
                    try:
                        job()
                    except Exception:
                        log.exception("a periodic job failed")
            self._stopping.wait(max(0.01, min(due, default=now + 1.0) - time.monotonic()))
