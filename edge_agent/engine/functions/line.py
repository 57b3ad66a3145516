"""The queue of one function: bounded in memory, unbounded on disk.

Guarantee: nothing is dropped. What does not fit stays in the journal, where it is anyway, and is fetched when there is
room; order is kept, because once one event had to stay outside, later ones do too.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterator

from edge_agent.engine.functions.work import Task

MOST_TASKS = 10_000
MOST_BYTES = 16 * 1024 * 1024
"""What one function's queue may hold in memory; at least one task is always taken."""


class Line:
    """Tasks that are ready, those that wait for their next attempt, and the word that there is more on disk."""

    def __init__(self, most_tasks: int = MOST_TASKS, most_bytes: int = MOST_BYTES) -> None:
        self._ready: deque[Task] = deque()
        self._later: list[tuple[float, int, Task]] = []
        self._numbers = itertools.count()
        self._bytes = 0
        self._most_tasks = most_tasks
        self._most_bytes = most_bytes
        self.known: dict[str, Task] = {}
        """By event id: everything in memory that has not ended, what workers hold included."""
        self.behind = False
        """There is more on disk."""
        self.earlier: set[str] = set()
        """Ids on disk that an earlier life of the agent may have handed over already: they need a new lease."""

    def __len__(self) -> int:
        """Ready ones."""
        return len(self._ready)

    @property
    def waiting(self) -> int:
        """Those that wait for their next attempt."""
        return len(self._later)

    @property
    def full(self) -> bool:
        return len(self.known) >= self._most_tasks or (self._bytes >= self._most_bytes and bool(self.known))

    @property
    def low(self) -> bool:
        """Time to fetch what is on disk?"""
        return len(self.known) <= self._most_tasks // 4 and self._bytes <= self._most_bytes // 4

    def take(self, task: Task, *, fetched: bool = False, due: float = 0.0) -> bool:
        """Queue a task, from `due` (monotonic seconds) on; False when it has to stay on disk for now.

        What was `fetched` from there keeps its turn.
        """
        if self.full or (self.behind and not fetched):
            self.behind = True
            return False
        self.known[task.invocation.id] = task
        self._bytes += len(task.invocation.event)
        if due:
            self.put_off(task, due)
        else:
            self._ready.append(task)
        return True

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

    def drain(self) -> Iterator[Task]:
        """Every task no worker holds, for good: the function is gone."""
        tasks = [*self._ready, *(task for _, _, task in self._later)]
        self._ready.clear()
        self._later.clear()
        yield from tasks
