"""From the threads that record invocations to the loop that runs them.

Guarantee: of one function what came first goes first, functions take turns, and workers are served in between, so that a
flood for one function delays the others by a turn, not by the flood. Bounded, nothing dropped: what does not fit stays on
disk, where it is anyway, and the loop knows that it is there.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence

from edge_agent.domain.invocation import Invocation
from edge_agent.engine.functions.admission import Admission, Arrival, Fetched
from edge_agent.engine.functions.loop import Loop
from edge_agent.ports import Pending

MOST_POSTED = 20_000
"""Invocations on their way from other threads; more stay on disk until these are seen to."""
AT_A_TIME = 64
"""Invocations of one function taken in before another's, and before workers are looked after again: half a millisecond."""


class Inbox:
    """`submit` and `fetched` are for any thread; the rest happens on the loop's."""

    def __init__(self, loop: Loop, admission: Admission) -> None:
        self.closed = False
        """Set on the loop's thread: nothing is taken in any more."""
        self._loop = loop
        self._admission = admission
        self._arrived: OrderedDict[str, deque[Arrival]] = OrderedDict()
        """By function; the first one's turn is next."""
        self._last = ""
        """Whose turn it was."""
        self._taking = False
        self._posted = 0
        self._posting = threading.Lock()
        admission.on_fetched = self.fetched

    def submit(self, invocations: Sequence[Invocation]) -> None:
        """Queue invocations that are on disk; returns at once."""
        with self._posting:
            fits = self._posted + len(invocations) <= MOST_POSTED
            self._posted += len(invocations) if fits else 0
        if fits:
            self._loop.post(self._take_all, invocations)
        else:
            self._loop.post(self._leave, Counter(invocation.function for invocation in invocations))

    def fetched(self, function: str, found: Sequence[Pending]) -> None:
        """Queue what was read from disk behind what arrived before it was."""
        self._loop.post(self._arrive, function, [*found, Fetched(bool(found))])

    def _take_all(self, invocations: Sequence[Invocation]) -> None:
        for invocation in invocations:
            self._queue(invocation.function).append(invocation)
        self._begin()

    def _arrive(self, function: str, arrivals: Sequence[Arrival]) -> None:
        self._queue(function).extend(arrivals)
        self._begin()

    def _queue(self, function: str) -> deque[Arrival]:
        """A function that had nothing goes before the one that has just had its turn."""
        queue = self._arrived.get(function)
        if queue is None:
            queue = self._arrived[function] = deque()
            if self._last in self._arrived:
                self._arrived.move_to_end(self._last)
        return queue

    def _begin(self) -> None:
        if not self._taking:
            self._take_some()

    def _take_some(self) -> None:
        """One function's turn."""
        function, queue = self._arrived.popitem(last=False)
        self._last = function
        some = [queue.popleft() for _ in range(min(len(queue), AT_A_TIME))]
        if queue:
            self._arrived[function] = queue  # at the end: the others come first
        with self._posting:
            self._posted -= sum(1 for each in some if type(each) is Invocation)
        if not self.closed:
            self._admission.take_all(function, some)
        self._taking = bool(self._arrived)
        if self._taking:
            self._loop.post(self._take_some)

    def _leave(self, counts: Counter[str]) -> None:
        for function, count in counts.items():
            self._admission.leave(function, count)
