"""Which invocations come in, and from where: just recorded, left by an earlier life, or fetched from disk after a flood.

Guarantee: memory is bounded and nothing is dropped. What does not fit stays in the journal, where it is anyway, and is
fetched in order when there is room. An event that may have been handed over before gets a new attempt, on disk first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from edge_agent.domain.function import MAX_PAYLOAD, RetrySpec
from edge_agent.domain.invocation import Attempt, Failed, Invocation, Outcome
from edge_agent.engine.functions.crew import Crew
from edge_agent.engine.functions.ledger import Ledger
from edge_agent.engine.functions.line import Line
from edge_agent.engine.functions.loop import Loop
from edge_agent.engine.functions.stats import EngineStats
from edge_agent.engine.functions.work import Task


class Floor(Protocol):
    """What admission needs of the engine."""

    loop: Loop
    stats: EngineStats

    def crew(self, function: str) -> Crew | None: ...
    def clock(self) -> float: ...
    def monotonic(self) -> float: ...
    def ended(self, crew: Crew, task: Task, attempt: Attempt, outcome: Outcome) -> None: ...


class Admission:
    """Lives on the loop's thread."""

    def __init__(self, floor: Floor, ledger: Ledger) -> None:
        self._floor = floor
        self._ledger = ledger
        self._ended: dict[str, set[str]] = {}
        """While a function's events are fetched: what ends meanwhile, and may still look pending on disk."""
        self._fetched: dict[str, int] = {}
        """Taken by the last fetch: their `submit` may come late, and is none."""

    def take_all(self, invocations: Sequence[Invocation]) -> None:
        """What was recorded a moment ago."""
        for invocation in invocations:
            if self._fetched.get(invocation.id) != invocation.created:  # a redriven one is as young as a new one
                self.take(invocation)

    def leave(self, function: str, count: int) -> None:
        """`count` events were not even looked at: they are fetched when there is room."""
        self._floor.stats.overflowed[function] += count
        if crew := self._floor.crew(function):
            crew.line.behind = True
            crew.hand_over()

    def take(self, invocation: Invocation, *, earlier: bool = False, fetched: bool = False) -> bool:
        """Queue one, or end it at once when it cannot be run; False when it has to stay on disk for now.

        `earlier`: from an earlier life of the agent, so its last attempt may have been handed over.
        """
        crew = self._floor.crew(invocation.function)
        # what is recorded in this life has its first attempt on disk; a redriven dead letter has none
        leased = invocation.attempts > 0 and not earlier
        task = self.task(invocation, invocation.attempts if leased else invocation.attempts + 1, leased=leased)
        if crew is None:
            self.no_function(task)
            return True
        if invocation.id in crew.line.known:
            return True
        if refusal := _refusal(invocation, crew, earlier=earlier):
            self._floor.ended(crew, task, Attempt(max(1, invocation.attempts), "", task.dispatched), refusal)
            return True
        wait = (invocation.due - self._floor.clock()) / 1000 if earlier else 0.0
        taken = crew.take_later(task, wait, fetched=fetched) if wait > 0 else crew.take(task, fetched=fetched)
        if not taken and earlier:
            crew.line.earlier.add(invocation.id)
        return taken

    def invoke(self, invocation: Invocation, on_outcome: Callable[[Outcome], None]) -> None:
        """Queue one for somebody who waits."""
        crew = self._floor.crew(invocation.function)
        task = self.task(invocation, max(1, invocation.attempts), leased=invocation.attempts > 0)
        task.on_outcome = on_outcome
        if crew is None:
            self.no_function(task)
        elif invocation.id in crew.line.known:
            task.tell(Failed("conflict", "this event is on its way already", temporary=False))
        elif refusal := _refusal(invocation, crew, earlier=False):
            self._floor.ended(crew, task, Attempt(task.number, "", task.dispatched), refusal)
        elif not crew.take(task):
            task.tell(Failed("overload", f"too many events wait for {invocation.function}; this one is run later"))

    def task(self, invocation: Invocation, number: int, *, leased: bool) -> Task:
        crew = self._floor.crew(invocation.function)
        at = self._floor.clock()
        age = (crew.spec.retry if crew else RetrySpec()).max_age - max(0.0, at - invocation.created) / 1000
        return Task(invocation, number, leased, self._floor.monotonic() + age, at)

    def no_function(self, task: Task) -> None:
        """There is none of that name, or not any more."""
        name = task.invocation.function
        failed = Failed("no-function", f"there is no function {name}", temporary=False)
        self._ledger.settle(task, Attempt(max(1, task.number), "", task.dispatched), failed, RetrySpec(), left=0.0)
        self.ended(name, task.invocation.id)
        task.tell(failed)

    def ended(self, function: str, event_id: str) -> None:
        """An event is over, though the disk may not say so yet."""
        if (meanwhile := self._ended.get(function)) is not None:
            meanwhile.add(event_id)

    def fetch(self, function: str) -> None:
        """There is room again: first have on disk what has ended, then read what has not."""
        if function not in self._ended:
            self._ended[function] = set()
            self._ledger.barrier(lambda: self._floor.loop.post(self._fetch, function))

    def _fetch(self, function: str) -> None:
        crew = self._floor.crew(function)
        line = crew.line if crew else Line()
        line.behind = False
        self._fetched.clear()
        for invocation in self._ledger.unfinished(function):
            if invocation.id in line.known or invocation.id in self._ended[function]:
                continue
            if not self.take(invocation, earlier=invocation.id in line.earlier, fetched=True):
                break
            line.earlier.discard(invocation.id)
            self._fetched[invocation.id] = invocation.created
        del self._ended[function]


def _refusal(invocation: Invocation, crew: Crew, *, earlier: bool) -> Failed | None:
    """Why it cannot be run at all."""
    if len(invocation.event) > MAX_PAYLOAD:
        reason = f"its event has {len(invocation.event)} bytes; {MAX_PAYLOAD} are allowed"
        return Failed("oversize", reason, temporary=False)
    allowed = crew.spec.retry.attempts
    if earlier and invocation.attempts >= max(1, allowed):
        reason = f"the agent stopped during attempt {invocation.attempts} of {allowed}; it may have run"
        return Failed("interrupted", reason, temporary=False)
    return None
