"""How many event streams are open, and the way to end them all.

In: the queue of one subscription. Out: a place, while there is one. Guarantee: never more than `limit`, and `close` wakes
every stream at once, so that stopping does not wait for a heartbeat.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from typing import Any

Feed = queue.Queue[tuple[str, dict[str, Any]]]
WAKE: tuple[str, dict[str, Any]] = ("", {})


class Streams:
    """Thread-safe."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._feeds: dict[int, Feed] = {}
        self._taken = 0
        self.closing = threading.Event()

    @property
    def open(self) -> int:
        return self._taken

    def take(self) -> bool:
        """Take a place; give it back with `give_back`. False when all are taken, or the server stops."""
        with self._lock:
            if self._taken >= self.limit or self.closing.is_set():
                return False
            self._taken += 1
            return True

    def give_back(self) -> None:
        with self._lock:
            self._taken -= 1

    @contextlib.contextmanager
    def following(self, feed: Feed) -> Iterator[None]:
        """While inside, `close` wakes whoever waits on `feed`."""
        with self._lock:
            self._feeds[id(feed)] = feed
        try:
            yield
        finally:
            with self._lock:
                self._feeds.pop(id(feed), None)

    def close(self) -> None:
        """End every stream."""
        self.closing.set()
        with self._lock:
            feeds = list(self._feeds.values())
        for feed in feeds:
            # A full feed needs no waking: its reader is not waiting.
            with contextlib.suppress(queue.Full):
                feed.put_nowait(WAKE)
