"""The engine's writing: leases before a hand-over, settlements after an outcome, and word of them to whoever listens.

Enters: attempts and outcomes. Leaves: settlements in the journal, in the order they came about, one piece for each turn.
Guarantee: a lease is on disk before its attempt begins. A settlement may linger a second or two, to share an fsync with
others: a crash in that time makes another attempt, never loses an event. That of a last attempt does not linger, for
after a crash nobody could tell whether it had run; nor does one that a later event of its device waits for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import Random

from edge_agent.domain.function import RetrySpec
from edge_agent.domain.invocation import Attempt, Failed, Invocation, Outcome, Settlement
from edge_agent.engine.functions.loop import Loop
from edge_agent.engine.functions.settle import lease, settle
from edge_agent.engine.functions.stats import EngineStats
from edge_agent.engine.functions.work import Task
from edge_agent.ports import Entries, Journal, Pending

log = logging.getLogger(__name__)

MOST_LINGERING = 32
"""Settlements that linger: whoever's event has to be on disk waits for them to be written before it."""

Listener = Callable[[Settlement, Invocation], None]
Then = Callable[[], None]
Follow = Callable[[Settlement, Invocation], list[Invocation]]
"""What is to run because this has ended: on disk in the same commit, dispatched after it."""


class Ledger:
    """Lives on the loop's thread. `save` is called at the end of each turn of the loop."""

    def __init__(
        self, loop: Loop, journal: Journal, clock: Callable[[], float], chance: Random, stats: EngineStats
    ) -> None:
        self.listeners: list[Listener] = []
        self.followers: list[Follow] = []
        self.submit: Callable[[list[Invocation]], None] = lambda invocations: None
        self._loop = loop
        self._journal = journal
        self._clock = clock
        self._chance = chance
        self._stats = stats
        self._settlements: list[Settlement] = []
        self._told: list[tuple[Settlement, Invocation]] = []
        self._following: list[Invocation] = []
        self._thens: list[Then] = []
        self._urgent = False
        self._lingering = 0

    def lease(self, task: Task, then: Then) -> None:
        """Have the task's attempt on disk; `then` is called when it is."""
        leased = lease(task.invocation, Attempt(task.number, "", task.dispatched), int(self._clock()))
        self._settlements.append(leased)
        self._thens.append(then)
        self._urgent = True

    def settle(self, task: Task, attempt: Attempt, outcome: Outcome, retry: RetrySpec, *, left: float) -> Settlement:
        """Write down how an attempt ended; `left` is the seconds until the event is too old."""
        settled = settle(
            task.invocation, attempt, outcome, retry, now=int(self._clock()), left=left, chance=self._chance
        )
        self._count(settled)
        self._settlements.append(settled)
        self._told.append((settled, task.invocation))
        self._following += self._follow(settled, task.invocation)
        self._urgent = self._urgent or attempt.number >= retry.attempts or bool(self._following)
        return settled

    def once_saved(self, then: Then, *, urgent: bool) -> None:
        """`then` is called when everything settled so far is on disk; `urgent`: at once, for somebody waits."""
        self._thens.append(then)
        self._urgent = self._urgent or urgent

    def hurry(self) -> None:
        """Somebody waits for what lingers."""
        self._urgent = True

    def save(self) -> None:
        """Put what came about in this turn into the journal's queue, in one piece, and say so."""
        if not self._settlements and not self._thens and not self._urgent:
            return
        settlements, self._settlements = self._settlements, []
        following, self._following = self._following, []
        thens, self._thens = self._thens, []
        self._lingering += len(settlements)
        urgent, self._urgent = self._urgent or self._lingering >= MOST_LINGERING, False
        if urgent:
            self._lingering = 0

        def saved() -> None:
            if following:
                self.submit(following)
            if thens:
                self._loop.post(_call_all, thens)

        entries = Entries(settlements=settlements, invocations=following)
        self._journal.commit(entries, urgent=urgent, then=saved if thens or following else None)
        told, self._told = self._told, []
        for settled, invocation in told:
            for listener in self.listeners:
                try:
                    listener(settled, invocation)
                except Exception:
                    log.exception("a listener failed on the settlement of %s", settled.id)

    def fetch(self, function: str, then: Callable[[list[Pending]], None], *, after: int, room: tuple[int, int]) -> None:
        """What the disk says has not ended, `room` for (tasks, bytes); `then` is called on the journal's thread."""
        self.save()
        limit, most_bytes = room
        self._journal.fetch(function, then, after=after, limit=limit, most_bytes=most_bytes)

    def _follow(self, settled: Settlement, invocation: Invocation) -> list[Invocation]:
        found: list[Invocation] = []
        for follow in self.followers:
            try:
                found += follow(settled, invocation)
            except Exception:
                log.exception("what follows the settlement of %s could not be found out", settled.id)
        return found

    def _count(self, settled: Settlement) -> None:
        name, outcome = settled.function, settled.outcome
        self._stats.invocations[name, outcome.kind if isinstance(outcome, Failed) else "succeeded"] += 1
        if settled.state == "waiting":
            self._stats.retries[name] += 1
        elif settled.state == "dead":
            self._stats.dead[name] += 1


def _call_all(thens: list[Then]) -> None:
    for then in thens:
        then()
