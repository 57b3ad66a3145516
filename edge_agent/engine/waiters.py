"""Callers that wait until one sample is on disk: the publisher endpoint's 202."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from edge_agent.domain.reading import Sample
from edge_agent.errors import Unavailable

Key = tuple[str, str, int]
"""(device, boot, seq)"""
WAITING_MOST = 1000
"""Callers at once; each is a thread of the web server, so there are never this many."""


class Waiters:
    """Costs the pipeline one look at an empty dict while nobody waits."""

    def __init__(self) -> None:
        self._waiting: dict[Key, list[threading.Semaphore]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def expect(self, keys: Sequence[Key]) -> Iterator[Expected]:
        """Begin to wait before the samples are sent; see `Expected.wait`."""
        arrived = threading.Semaphore(0)
        with self._lock:
            if len(self._waiting) + len(keys) > WAITING_MOST * 64:
                raise Unavailable("too many publishers are waiting for the journal", delay=2.0)
            for key in keys:
                self._waiting.setdefault(key, []).append(arrived)
        try:
            yield Expected(arrived, len(keys))
        finally:
            with self._lock:
                for key in keys:
                    still = [semaphore for semaphore in self._waiting.pop(key, []) if semaphore is not arrived]
                    if still:
                        self._waiting[key] = still

    def __bool__(self) -> bool:
        """Whether anybody waits, and the journal should not linger."""
        return bool(self._waiting)

    def stored(self, samples: Iterable[Sample]) -> None:
        """These are on disk."""
        if not self._waiting:
            return
        with self._lock:
            for sample in samples:
                for semaphore in self._waiting.get((sample.device, sample.boot, sample.seq), ()):
                    semaphore.release()


class Expected:
    """Samples somebody waits for."""

    def __init__(self, arrived: threading.Semaphore, count: int) -> None:
        self._arrived = arrived
        self._count = count

    def wait(self, timeout: float) -> bool:
        """Whether all of them were on disk within `timeout` seconds (for each)."""
        return all(self._arrived.acquire(timeout=timeout) for _ in range(self._count))
