"""The journal's readings move on to the history, in bulk; what they left behind in memory is kept when they go.

Enters: committed batches. Leaves: rows in the history; a shorter journal.
Guarantee: a batch leaves the journal only after the history has it, in the same transaction as the watermarks and rule
states that follow from it. With the history away the journal holds, up to its limits by size and age; an alarm is raised
long before anything is let go, and what is let go is counted.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from edge_agent.domain.reading import Sample
from edge_agent.domain.rules.spec import RuleState
from edge_agent.errors import EdgeError
from edge_agent.ports import Clock, History

log = logging.getLogger(__name__)

BEGIN_AT = 20_000
"""Samples waiting in the journal from which they are moved at once: while their pages are still in memory."""
AT_ONCE = 2500
"""Samples handed to the history in one call: enough to share its pages, little enough to hold in memory."""
ALARM_AT = 0.8
"""Share of either limit at which the alarm is raised."""


class Backlog(Protocol):
    """The part of the journal that holds readings for the history."""

    def batches(self, after: int = 0, limit: int = 200) -> list[tuple[int, int, list[Sample]]]: ...
    def backlog(self) -> tuple[int, int, int]: ...
    def let_go(self, count: int) -> int: ...
    def drained(
        self,
        upto: int,
        marks: Sequence[tuple[str, str, bytes]],
        states: Sequence[RuleState],
        then: Callable[[], None] | None = None,
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes and seconds the journal may hold for a history that is away."""

    max_bytes: int
    max_age: float


class Drain:
    """Carries batches over. `memory(commit)` calls `commit(marks, states)` while nothing else is being taken in."""

    def __init__(
        self,
        journal: Backlog,
        history: History,
        clock: Clock,
        *,
        limits: Limits,
        memory: Callable[[Callable[[Sequence[tuple[str, str, bytes]], Sequence[RuleState]], None]], None],
        on_alarm: Callable[[str, str], None],
    ) -> None:
        self._journal = journal
        self._history = history
        self._clock = clock
        self._limits = limits
        self._memory = memory
        self._on_alarm = on_alarm
        self._one = threading.Lock()
        self.lost = 0
        self.last_error = ""
        self.moved = 0

    def run(self) -> bool:
        """Move all there is; whether the history took it. Any thread: a second one waits, and finds little left to do."""
        with self._one:
            return self._run()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Nothing moves meanwhile."""
        with self._one:
            yield

    def _run(self) -> bool:
        upto, moved = 0, AT_ONCE
        gone: threading.Event | None = None
        try:
            while moved >= AT_ONCE:  # fewer is all there was: what comes meanwhile waits its turn
                upto, samples = self._next(upto)
                if moved := len(samples):
                    self._history.store(samples)
                    self.moved += moved
                    gone = threading.Event()
                    self._let_go(upto, gone.set)
        except EdgeError as error:
            if str(error) != self.last_error:
                self.last_error = str(error)
                log.warning("the history does not take readings, the journal holds them: %s", error)
            self._hold()
            return False
        finally:
            if gone is not None:
                gone.wait(60.0)  # in order: when the last is gone, all are
        self.last_error = ""
        self._on_alarm("journal-full", "")
        return True

    def _let_go(self, upto: int, then: Callable[[], None]) -> None:
        self._memory(lambda marks, states: self._journal.drained(upto, marks, states, then))

    def _next(self, upto: int) -> tuple[int, list[Sample]]:
        """Samples committed after number `upto`, and the number up to which they are."""
        samples, limit = list[Sample](), 4
        while len(samples) < AT_ONCE:
            found = self._journal.batches(upto, limit)
            if not found:
                break
            for number, _, some in found:
                samples.extend(some)
                upto = number
            per_batch = max(1, len(samples) // len(found))
            limit = max(1, min(200, (AT_ONCE - len(samples)) // per_batch))
        return upto, samples

    def _hold(self) -> None:
        """The history is away: say so in time, and at the limit let the oldest go."""
        waiting, oldest, size = self._journal.backlog()
        age = (self._clock() - oldest) / 1000 if oldest else 0.0
        full = max(size / self._limits.max_bytes, age / self._limits.max_age)
        if full >= ALARM_AT:
            self._on_alarm(
                "journal-full",
                f"the journal is {min(full, 1):.0%} full with {waiting} samples that the history has not taken "
                f"({self.last_error}); at 100 % the oldest are let go",
            )
        while full >= 1.0 and waiting:
            self.lost += self._journal.let_go(50)
            waiting, oldest, size = self._journal.backlog()
            age = (self._clock() - oldest) / 1000 if oldest else 0.0
            full = max(size / self._limits.max_bytes, age / self._limits.max_age)
