"""The engine's writing: leases before a hand-over, settlements after an outcome, and word of them to whoever listens.

Enters: attempts and outcomes. Leaves: settlements in the journal, in the order they came about.
Guarantee: a lease is on disk before its attempt begins. A settlement may linger a second or two, to share an fsync with
others: a crash in that time makes another attempt, never loses an event. That of a last attempt does not linger, for
after a crash nobody could tell whether it had run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import Random

from edge_agent.domain.function import RetrySpec
from edge_agent.domain.invocation import Attempt, Failed, Invocation, Outcome, Settlement
from edge_agent.engine.functions.settle import lease, settle
from edge_agent.engine.functions.stats import EngineStats
from edge_agent.engine.functions.work import Task
from edge_agent.ports import Entries, Journal

log = logging.getLogger(__name__)

Listener = Callable[[Settlement, Invocation], None]


class Ledger:
    """Lives on the loop's thread. `save` is called at the end of each turn of the loop."""

    def __init__(self, journal: Journal, clock: Callable[[], float], chance: Random, stats: EngineStats) -> None:
        self.listeners: list[Listener] = []
        self._journal = journal
        self._clock = clock
        self._chance = chance
        self._stats = stats
        self._settled: list[tuple[Settlement, Invocation]] = []
        self._urgent = False

    def lease(self, task: Task, then: Callable[[], None]) -> None:
        """Have the task's attempt on disk; `then` comes on the journal's thread."""
        self.save()  # in order: how the attempt before ended, then the lease
        leased = lease(task.invocation, Attempt(task.number, "", task.dispatched), int(self._clock()))
        self._journal.commit(Entries(settlements=[leased]), then=then)

    def settle(self, task: Task, attempt: Attempt, outcome: Outcome, retry: RetrySpec, *, left: float) -> Settlement:
        """Write down how an attempt ended; `left` is the seconds until the event is too old."""
        settled = settle(
            task.invocation, attempt, outcome, retry, now=int(self._clock()), left=left, chance=self._chance
        )
        self._count(settled)
        self._settled.append((settled, task.invocation))
        self._urgent = self._urgent or attempt.number >= retry.attempts
        return settled

    def save(self) -> None:
        """Put what ended in this turn into the journal's queue, in one piece, and say so."""
        if not self._settled:
            return
        settled, self._settled = self._settled, []
        urgent, self._urgent = self._urgent, False
        self._journal.commit(Entries(settlements=[settlement for settlement, _ in settled]), urgent=urgent)
        for settlement, invocation in settled:
            for listener in self.listeners:
                try:
                    listener(settlement, invocation)
                except Exception:
                    log.exception("a listener failed on the settlement of %s", settlement.id)

    def barrier(self, then: Callable[[], None]) -> None:
        """`then` comes, on the journal's thread, when everything settled so far is on disk."""
        self.save()
        self._journal.commit(Entries(), then=then)

    def unfinished(self, function: str) -> list[Invocation]:
        """What the disk says has not ended, oldest first."""
        return [invocation for invocation in self._journal.pending_invocations() if invocation.function == function]

    def _count(self, settled: Settlement) -> None:
        name, outcome = settled.function, settled.outcome
        self._stats.invocations[name, outcome.kind if isinstance(outcome, Failed) else "succeeded"] += 1
        if settled.state == "waiting":
            self._stats.retries[name] += 1
        elif settled.state == "dead":
            self._stats.dead[name] += 1
