"""One thread, one epoll: everything the function engine does happens here, so nothing in it needs a lock.

Enters: file descriptors that became ready, alarms that are due, calls posted by other threads.
Guarantee: callbacks run one at a time, in the order they became due; one that raises is logged and harms no other.
Not chosen: asyncio. Its tasks and transports cost more per event than all of our own code, and a worker's answer needs
neither.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from edge_agent.errors import Unavailable

log = logging.getLogger(__name__)
T = TypeVar("T")

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
NEVER = float("inf")


class Alarm:
    """A callback with one time at which it is due (monotonic seconds); setting it again moves it."""

    __slots__ = ("_call", "_loop", "when")

    def __init__(self, loop: Loop, call: Callable[[], None]) -> None:
        self._loop = loop
        self._call = call
        self.when = NEVER

    def set(self, when: float) -> None:
        if when != self.when:
            self.when = when
            if when != NEVER:
                self._loop.push(self, when)

    def no_later_than(self, when: float) -> None:
        """Bring it forward to `when`; never puts it off."""
        if when < self.when:
            self.set(when)

    def ring(self) -> None:
        self.when = NEVER
        self._call()


class Loop:
    """Start it, post to it from any thread, close it. `watch`, `alarm` and `after` are for the loop's own thread."""

    def __init__(self, name: str = "functions") -> None:
        self._epoll = select.epoll()
        self._ready: dict[int, Callable[[int], object]] = {}
        self._inbox: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._alarms: list[tuple[float, int, Alarm]] = []
        self._numbers = itertools.count()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._awake = False
        self._waking = threading.Lock()
        self._closing = False
        self._over = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.after: list[Callable[[], None]] = []
        """Called at the end of every turn: what gathers work and hands it on in one piece."""
        self.turns = 0
        """How often it has looked at what is ready."""
        self.faults = 0
        """Callbacks that raised; each is a defect of ours and is logged with its trace."""

    def start(self) -> None:
        self.watch(self._wake, self._woken)
        self._thread.start()

    def close(self) -> None:
        """End the thread and wait for it. What was posted before is still done; nothing after."""
        self._closing = True
        self._nudge()
        if self._thread.is_alive() and not self.here():
            self._thread.join()

    def here(self) -> bool:
        """Is this the loop's own thread?"""
        return threading.get_ident() == self._thread.ident

    def post(self, call: Callable[..., object], *args: Any) -> None:
        """Have `call(*args)` made on the loop's thread, soon. Any thread; never blocks; nothing happens after `close`."""
        self._inbox.append((call, args))
        if not self._awake:
            self._nudge()

    def _nudge(self) -> None:
        with self._waking:  # only so that nobody writes to a number that was closed and is another file's by now
            if not self._over:
                self._awake = True
                os.eventfd_write(self._wake, 1)

    def ask(self, call: Callable[[], T], timeout: float = 10.0) -> T:
        """What `call` returns on the loop's thread. Errors: whatever it raises; `Unavailable` after `timeout` seconds."""
        if self.here() or not self._thread.is_alive():
            return call()
        done = threading.Event()
        answer: list[T] = []
        problem: list[BaseException] = []

        def answered() -> None:
            try:
                answer.append(call())
            except Exception as error:  # noqa: BLE001 - it is raised again where it was asked for
                problem.append(error)
            done.set()

        self.post(answered)
        if not done.wait(timeout):
            raise Unavailable(f"the function engine has not answered within {timeout:g} s")
        if problem:
            raise problem[0]
        return answer[0]

    def alarm(self, call: Callable[[], None]) -> Alarm:
        return Alarm(self, call)

    def push(self, alarm: Alarm, when: float) -> None:
        heapq.heappush(self._alarms, (when, next(self._numbers), alarm))

    def watch(self, fd: int, ready: Callable[[int], object], mask: int = READ) -> None:
        """Call `ready(mask)` whenever `fd` can be read (or written, as `mask` says), or was hung up."""
        self._ready[fd] = ready
        self._epoll.register(fd, mask)

    def rewatch(self, fd: int, mask: int) -> None:
        self._epoll.modify(fd, mask)

    def unwatch(self, fd: int) -> None:
        """Must come before `fd` is closed. Not watched is no error."""
        if self._ready.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def _run(self) -> None:
        while not (self._closing and not self._inbox):
            ready_now = self._epoll.poll(self._pause())
            self.turns += 1
            for fd, mask in ready_now:
                ready = self._ready.get(fd)
                if ready is not None:
                    self._guarded(ready, mask)
            self._ring()
            for gather in self.after:
                self._guarded(gather)
        with self._waking:
            self._over = True
            os.close(self._wake)
        self._epoll.close()

    def _pause(self) -> float:
        alarms = self._alarms
        while alarms and alarms[0][2].when != alarms[0][0]:
            heapq.heappop(alarms)
        return max(0.0, alarms[0][0] - time.monotonic()) if alarms else -1

    def _ring(self) -> None:
        """Those due by now: what is set to `now` from here on comes after a look at what is ready."""
        alarms, now = self._alarms, time.monotonic()
        while alarms and alarms[0][0] <= now:
            when, _, alarm = heapq.heappop(alarms)
            if alarm.when == when:
                self._guarded(alarm.ring)

    def _woken(self, _mask: int) -> None:
        os.eventfd_read(self._wake)
        self._awake = False  # before the inbox is read: who posts from here on wakes us again
        for _ in range(len(self._inbox)):
            call, args = self._inbox.popleft()
            self._guarded(call, *args)

    def _guarded(self, call: Callable[..., object], *args: Any) -> None:
        try:
            call(*args)
        except Exception:
            self.faults += 1
            log.exception("a step of the function engine failed; it goes on")
