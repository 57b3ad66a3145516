"""From the threads that record invocations to the loop that runs them.

Guarantee: bounded, nothing dropped: what does not fit stays on disk, where it is anyway, and the loop knows that it is there.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Sequence

from edge_agent.domain.invocation import Invocation
from edge_agent.engine.functions.admission import Admission
from edge_agent.engine.functions.loop import Loop

MOST_POSTED = 20_000
"""Invocations on their way from other threads; more stay on disk until these are seen to."""
AT_A_TIME = 256
"""Invocations taken in before workers are looked after again: about a millisecond's work."""


class Inbox:
    """`submit` is for any thread; the rest happens on the loop's."""

    def __init__(self, loop: Loop, admission: Admission) -> None:
        self.closed = False
        """Set on the loop's thread: nothing is taken in any more."""
        self._loop = loop
        self._admission = admission
        self._arrived: deque[Invocation] = deque()
        self._posted = 0
        self._posting = threading.Lock()

    def submit(self, invocations: Sequence[Invocation]) -> None:
        """Queue invocations that are on disk; returns at once."""
        with self._posting:
            fits = self._posted + len(invocations) <= MOST_POSTED
            self._posted += len(invocations) if fits else 0
        if fits:
            self._loop.post(self._take_all, invocations)
        else:
            self._loop.post(self._leave, Counter(invocation.function for invocation in invocations))

    def _take_all(self, invocations: Sequence[Invocation]) -> None:
        taking = bool(self._arrived)
        self._arrived.extend(invocations)
        if not taking:
            self._take_some()

    def _take_some(self) -> None:
        """A few at a time, so that a flood lets workers be served in between."""
        some = [self._arrived.popleft() for _ in range(min(len(self._arrived), AT_A_TIME))]
        with self._posting:
            self._posted -= len(some)
        if not self.closed:
            self._admission.take_all(some)
        if self._arrived:
            self._loop.post(self._take_some)

    def _leave(self, counts: Counter[str]) -> None:
        for function, count in counts.items():
            self._admission.leave(function, count)
