"""Threads that answer requests, in lanes, so that one kind of request never waits behind another.

In: connections with a whole request. Out: the same connections, answered. Guarantee: a lane never has more than its number
of threads nor more than `waiting` connections; `put` never waits. Threads are started when they are first needed.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)
T = TypeVar("T")


class Lane(Generic[T]):
    """`threads` workers that call `serve` with what is put."""

    def __init__(self, name: str, serve: Callable[[T], None], *, threads: int, waiting: int) -> None:
        self._name, self._serve, self._most = name, serve, threads
        self._queue: queue.Queue[T | None] = queue.Queue(waiting)
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._load = 0  # put and not yet finished
        self._busy: dict[int, T] = {}
        self._stopped = False

    def put(self, item: T) -> bool:
        """Hand over; False when the lane is full or stopped."""
        with self._lock:
            if self._stopped:
                return False
            try:
                self._queue.put_nowait(item)
            except queue.Full:
                return False
            self._load += 1
            if self._load > len(self._threads) and len(self._threads) < self._most:
                thread = threading.Thread(
                    target=self._work, name=f"web-{self._name}-{len(self._threads) + 1}", daemon=True
                )
                self._threads.append(thread)
                thread.start()
        return True

    def stop(self, interrupt: Callable[[T], None], patience: float) -> None:
        """Take no more; wait `patience` seconds for what is being answered, then `interrupt` it."""
        with self._lock:
            self._stopped = True
            threads = list(self._threads)
        left: list[T] = []
        while not self._queue.empty():
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is not None:
                left.append(item)
        for item in left:
            interrupt(item)
        self._join(threads, patience)
        with self._lock:
            stuck = list(self._busy.values())
        for item in stuck:
            interrupt(item)
        self._join(threads, 1.0)

    def _join(self, threads: list[threading.Thread], patience: float) -> None:
        end = time.monotonic() + patience
        for thread in threads:
            while thread.is_alive() and time.monotonic() < end:
                # One at a time and again: a lane's queue may be shorter than its number of threads.
                with contextlib.suppress(queue.Full):
                    self._queue.put_nowait(None)
                thread.join(0.02)

    def _work(self) -> None:
        me = threading.get_ident()
        while True:
            item = self._queue.get()
            if item is None:
                return
            with self._lock:
                self._busy[me] = item
            try:
                self._serve(item)
            except Exception:  # the thread must outlive whatever one request does
                log.exception("a request ended badly")
            finally:
                with self._lock:
                    self._busy.pop(me, None)
                    self._load -= 1
