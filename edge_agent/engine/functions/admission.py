"""Which invocations come in, and from where: just recorded, left by an earlier life, or fetched from disk after a flood.

Guarantee: memory is bounded and nothing is dropped. What does not fit stays in the journal, where it is anyway, and is
fetched in the order recorded when there is room. An event that may have been handed over before gets a new attempt, on
disk first.

How the disk is gone through: a piece at a time, each when the queue is low, from the beginning to where there is nothing
more and nothing has stayed outside meanwhile. Until then what is recorded stays outside too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from edge_agent.domain import event
from edge_agent.domain.function import MAX_PAYLOAD, RetrySpec
from edge_agent.domain.invocation import Attempt, Failed, Invocation, Outcome
from edge_agent.engine.functions.crew import Crew
from edge_agent.engine.functions.ledger import Ledger
from edge_agent.engine.functions.stats import EngineStats
from edge_agent.engine.functions.work import Task
from edge_agent.ports import Pending

PIECE = 500, 4 * 1024 * 1024
"""Events, and bytes of them, that are read at once."""


class Fetched(NamedTuple):
    """The end of a piece that was read; `more`: there may be another."""

    more: bool


Arrival: TypeAlias = Invocation | Pending | Fetched


class Floor(Protocol):
    """What admission needs of the engine."""

    stats: EngineStats
    closed: bool

    def crew(self, function: str) -> Crew | None: ...
    def clock(self) -> float: ...
    def monotonic(self) -> float: ...
    def ended(self, crew: Crew, task: Task, attempt: Attempt, outcome: Outcome) -> None: ...


class _Reader:
    """On its way through what the disk holds of one function."""

    __slots__ = ("after", "earlier", "ended", "full", "missed", "reading")

    def __init__(self, earlier: int) -> None:
        self.after = 0
        """The last place that was taken in: what has not ended up to there is in memory."""
        self.earlier = earlier
        """Up to this place an earlier life of the agent recorded them, and may have handed them over."""
        self.missed = False
        """Something has stayed outside since the last piece was asked for."""
        self.reading = False
        self.full = False
        """The rest of the piece has to be read again."""
        self.ended: set[str] = set()
        """Since the piece was asked for; it may say of these that they have not."""


class Admission:
    """Lives on the loop's thread."""

    def __init__(self, floor: Floor, ledger: Ledger) -> None:
        self.on_fetched: Callable[[str, Sequence[Pending]], None]
        """Told, on the journal's thread, what was read; brings it back by `take_all`."""
        self._floor = floor
        self._ledger = ledger
        self._readers: dict[str, _Reader] = {}

    def begin(self, last: int, functions: Sequence[str]) -> None:
        """Take up what an earlier life left of these functions, up to the place `last`."""
        for function in functions:
            self._readers[function] = _Reader(last)
            if crew := self._floor.crew(function):
                crew.line.behind = True
            self.fetch(function)

    def behind(self, function: str) -> bool:
        """Is there more of it on disk?"""
        return function in self._readers

    def take_all(self, function: str, arrivals: Sequence[Arrival]) -> None:
        """What was recorded a moment ago, and what was read from disk, of one function and in order."""
        for arrival in arrivals:
            match arrival:
                case Invocation():
                    if not self._take(arrival):
                        self._left_outside(function)
                case Pending():
                    self._take_fetched(arrival)
                case Fetched():
                    self._piece_taken(function, more=arrival.more)
        if crew := self._floor.crew(function):
            crew.hand_over()

    def leave(self, function: str, count: int) -> None:
        """`count` events were not even looked at: they are fetched when there is room."""
        self._floor.stats.overflowed[function] += count
        self._left_outside(function)
        if crew := self._floor.crew(function):
            crew.hand_over()
        else:
            self.fetch(function)

    def invoke(self, invocation: Invocation, on_outcome: Callable[[Outcome], None]) -> None:
        """Queue one for somebody who waits."""
        crew = self._floor.crew(invocation.function)
        task = self._task(invocation, max(1, invocation.attempts), leased=invocation.attempts > 0)
        task.on_outcome = on_outcome
        if crew is None:
            self.no_function(task)
        elif invocation.id in crew.line.known:
            task.tell(Failed("conflict", "this event is on its way already", temporary=False))
        elif refusal := _refusal(invocation, crew, earlier=False):
            self._floor.ended(crew, task, Attempt(task.number, "", task.dispatched), refusal)
        elif crew.take(task):
            crew.hand_over()
        else:
            self._left_outside(invocation.function)
            task.tell(Failed("overload", f"too many events wait for {invocation.function}; this one is run later"))

    def no_function(self, task: Task) -> None:
        """There is none of that name, or not any more."""
        name = task.invocation.function
        failed = Failed("no-function", f"there is no function {name}", temporary=False)
        self._ledger.settle(task, Attempt(max(1, task.number), "", task.dispatched), failed, RetrySpec(), left=0.0)
        self.ended(name, task.invocation.id)
        task.tell(failed)

    def ended(self, function: str, event_id: str) -> None:
        """An event is over, though what is being read may not say so."""
        if (way := self._readers.get(function)) is not None and way.reading:
            way.ended.add(event_id)

    def fetch(self, function: str) -> None:
        """There is room: read the next piece, after what has ended by now is on disk."""
        way = self._readers.get(function)
        if way is None or way.reading or self._floor.closed:
            return
        crew = self._floor.crew(function)
        tasks, size = crew.line.room if crew else PIECE
        way.reading, way.missed, way.full = True, False, False
        way.ended.clear()
        room = min(tasks, PIECE[0]), min(size, PIECE[1])
        self._ledger.fetch(function, lambda found: self.on_fetched(function, found), after=way.after, room=room)

    def _left_outside(self, function: str) -> None:
        self._readers.setdefault(function, _Reader(0)).missed = True
        if crew := self._floor.crew(function):
            crew.line.behind = True

    def _take_fetched(self, pending: Pending) -> None:
        place, invocation = pending
        way = self._readers[invocation.function]
        if way.full:
            return
        crew = self._floor.crew(invocation.function)
        here = invocation.id in way.ended or (crew is not None and invocation.id in crew.line.known)
        if here or self._take(invocation, earlier=place <= way.earlier, fetched=True):
            way.after = place
        else:
            way.full = True

    def _piece_taken(self, function: str, *, more: bool) -> None:
        way = self._readers[function]
        way.reading = False
        crew = self._floor.crew(function)
        if not more and not way.missed:
            del self._readers[function]
            if crew:
                crew.line.behind = False
        elif crew is None:
            self.fetch(function)

    def _take(self, invocation: Invocation, *, earlier: bool = False, fetched: bool = False) -> bool:
        """Queue one, or end it at once when it cannot be run; False when it has to stay on disk for now."""
        crew = self._floor.crew(invocation.function)
        # what is recorded in this life has its first attempt on disk; what an earlier one left may have used it up
        leased = invocation.attempts > 0 and not earlier
        task = self._task(invocation, invocation.attempts if leased else invocation.attempts + 1, leased=leased)
        if crew is None:
            self.no_function(task)
            return True
        if invocation.id in crew.line.known:
            return True
        if refusal := _refusal(invocation, crew, earlier=earlier):
            self._floor.ended(crew, task, Attempt(max(1, invocation.attempts), "", task.dispatched), refusal)
            return True
        wait = (invocation.due - self._floor.clock()) / 1000 if earlier else 0.0
        return crew.take_later(task, wait, fetched=fetched) if wait > 0 else crew.take(task, fetched=fetched)

    def _task(self, invocation: Invocation, number: int, *, leased: bool) -> Task:
        crew = self._floor.crew(invocation.function)
        at = self._floor.clock()
        age = (crew.spec.retry if crew else RetrySpec()).max_age - max(0.0, at - invocation.created) / 1000
        return Task(invocation, number, leased, self._floor.monotonic() + age, at)


def _refusal(invocation: Invocation, crew: Crew, *, earlier: bool) -> Failed | None:
    """Why it cannot be run at all."""
    if len(invocation.event) > MAX_PAYLOAD:
        reason = f"its event has {len(invocation.event)} bytes; {MAX_PAYLOAD} are allowed"
        return Failed("oversize", reason, temporary=False)
    if (steps := event.depth(invocation.event)) > event.DEPTH_MOST:
        chain = event.way(invocation.event).edgecause
        reason = f"it is step {steps} of a chain of functions, and {event.DEPTH_MOST} are run: {chain[-300:]}"
        return Failed("too-deep", reason, temporary=False)
    allowed = crew.spec.retry.attempts
    if earlier and invocation.attempts >= max(1, allowed):
        reason = f"the agent stopped during attempt {invocation.attempts} of {allowed}; it may have run"
        return Failed("interrupted", reason, temporary=False)
    return None
