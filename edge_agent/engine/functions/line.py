"""The queue of one function: bounded in memory, unbounded on disk.

Guarantee: nothing is dropped. What does not fit stays in the journal, where it is anyway, and is fetched when there is
room; order is kept, because once one event had to stay outside, later ones do too. `ordered`: of each device the oldest
alone is ready (`lanes`).
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque

from edge_agent.engine.functions.lanes import Lanes, key_of
from edge_agent.engine.functions.work import Task

MOST_TASKS = 10_000
MOST_BYTES = 16 * 1024 * 1024
"""What one function's queue may hold in memory; at least one task is always taken."""


class Line:
    """Tasks that are ready, those that wait for their next attempt or for an earlier event of their device, and the word
    that there is more on disk."""

    def __init__(self, *, ordered: bool = False, most_tasks: int = MOST_TASKS, most_bytes: int = MOST_BYTES) -> None:
        self._ready: deque[Task] = deque()
        self._later: list[tuple[float, int, Task]] = []
        self._numbers = itertools.count()
        self._bytes = 0
        self._most_tasks = most_tasks
        self._most_bytes = most_bytes
        self._lanes = Lanes() if ordered else None
        self.known: dict[str, Task] = {}
        """By event id, in the order taken: everything in memory that has not ended, what workers hold included."""
        self.behind = False
        """There is more on disk."""

    def __len__(self) -> int:
        """Ready ones."""
        return len(self._ready)

    @property
    def waiting(self) -> int:
        """Those that wait for their next attempt."""
        return len(self._later)

    @property
    def held_back(self) -> int:
        """Those that wait for an earlier event of their device."""
        return self._lanes.waiting if self._lanes is not None else 0

    @property
    def full(self) -> bool:
        return len(self.known) >= self._most_tasks or (self._bytes >= self._most_bytes and bool(self.known))

    @property
    def low(self) -> bool:
        """Time to fetch what is on disk?"""
        return len(self.known) <= self._most_tasks // 4 and self._bytes <= self._most_bytes // 4

    @property
    def room(self) -> tuple[int, int]:
        """(tasks, bytes) that can be taken, one at least."""
        return max(1, self._most_tasks - len(self.known)), max(1, self._most_bytes - self._bytes)

    def take(self, task: Task, *, fetched: bool = False, due: float = 0.0) -> bool:
        """Queue a task, from `due` (monotonic seconds) on; False when it has to stay on disk for now.

        What was `fetched` from there keeps its turn.
        """
        if self.full or (self.behind and not fetched):
            self.behind = True
            return False
        self.known[task.invocation.id] = task
        self._bytes += len(task.invocation.event)
        task.due = due
        if self._lanes is not None:
            task.key = key_of(task.invocation)
            if not self._lanes.enter(task):
                return True
        self._admit(task)
        return True

    def _admit(self, task: Task) -> None:
        if task.due:
            self.put_off(task, task.due)
        else:
            self._ready.append(task)

    def next(self) -> Task:
        return self._ready.popleft()

    def peek(self) -> Task | None:
        return self._ready[0] if self._ready else None

    def put_back(self, task: Task) -> None:
        """To the front: it was to be handed over, and was not."""
        self._ready.appendleft(task)

    def put_off(self, task: Task, due: float) -> None:
        """Until `due` (monotonic seconds)."""
        heapq.heappush(self._later, (due, next(self._numbers), task))

    def wake(self, now: float) -> float:
        """Queue those that are due; when the next one will be (infinity: none)."""
        while self._later and self._later[0][0] <= now:
            self._ready.append(heapq.heappop(self._later)[2])
        return self._later[0][0] if self._later else float("inf")

    def ended(self, task: Task) -> None:
        if self.known.pop(task.invocation.id, None) is not None:
            self._bytes -= len(task.invocation.event)

    # -- order

    @property
    def ordered(self) -> bool:
        return self._lanes is not None

    def closes(self, task: Task) -> bool:
        """It has ended; does another wait until that is on disk?"""
        return self._lanes is not None and self._lanes.closes(task)

    def closing(self, task: Task) -> bool:
        """Does it wait only until the end of the one before is on disk?"""
        return self._lanes is not None and self._lanes.closing(task)

    def pass_on(self, task: Task) -> None:
        """Its end is on disk: the next event of its device may go."""
        if self._lanes is not None and (following := self._lanes.over(task)) is not None:
            self._admit(following)

    def arrange(self, *, ordered: bool) -> None:
        """Keep order from now on, or keep it no longer; what workers hold is let be."""
        if ordered == self.ordered:
            return
        if self._lanes is not None:
            waiting = set(self._lanes.drain())
            self._lanes = None
            for task in self.known.values():
                if task in waiting:
                    self._admit(task)
            return
        lanes, ready = Lanes(), set(self._ready)
        for task in self.known.values():
            task.key = key_of(task.invocation)
            if task not in ready:
                lanes.hold(task)
        kept = {task for task in self.known.values() if task in ready and lanes.enter(task)}
        self._ready = deque(task for task in self._ready if task in kept)
        self._lanes = lanes

    def drain(self) -> list[Task]:
        """Every task no worker holds, for good: the function is gone."""
        tasks = [*self._ready, *(task for _, _, task in self._later)]
        self._ready.clear()
        self._later.clear()
        if self._lanes is not None:
            blocked = list(self._lanes.drain())
            for task in tasks:
                self._lanes.drop(task)
            tasks += blocked
        return tasks
