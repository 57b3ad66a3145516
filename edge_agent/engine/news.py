"""What just happened, for whoever watches the page live.

Bounded: a slow reader loses its oldest news, counted; the pipeline never waits for anybody.
"""

from __future__ import annotations

import threading
from queue import Empty, Full, Queue
from typing import Any

Item = tuple[str, dict[str, Any]]
QUEUED_MOST = 1000


class News:
    """`publish` from any thread; each subscriber has a queue of its own."""

    def __init__(self) -> None:
        self._queues: list[Queue[Item]] = []
        self._lock = threading.Lock()
        self.missed = 0

    def __bool__(self) -> bool:
        """Whether anybody listens."""
        return bool(self._queues)

    def subscribe(self) -> Queue[Item]:
        queue: Queue[Item] = Queue(QUEUED_MOST)
        with self._lock:
            self._queues = [*self._queues, queue]
        return queue

    def unsubscribe(self, queue: Queue[Item]) -> None:
        with self._lock:
            self._queues = [known for known in self._queues if known is not queue]

    def publish(self, kind: str, data: dict[str, Any]) -> None:
        for queue in self._queues:
            while True:
                try:
                    queue.put_nowait((kind, data))
                    break
                except Full:
                    self.missed += 1
                    try:
                        queue.get_nowait()
                    except Empty:
                        continue
