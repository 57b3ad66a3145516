"""Whose worker is started next, and when: one in each turn of the loop, the most urgent first, functions in turn.

Enters: functions that want to start a worker, each with how urgently. Leaves: leave to start one; or the word why it waits,
and a call when its turn has come.
Guarantee: nothing is dropped: who is refused is asked again until it starts a worker or needs none. An event's worker goes
before one that only waits, a function's first before another's next (`governor`), first come first served among equals; but
who was passed over `PATIENCE` times goes first, so that a flood for one function keeps no other from anything for long.
A start costs the loop as much as two events, a few milliseconds on a small machine: hence one in a turn.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from edge_agent.engine.functions.governor import Delay, Governor, Want
from edge_agent.engine.functions.loop import NEVER, Loop
from edge_agent.engine.functions.stats import EngineStats

PATIENCE = 16
"""Starts of others."""


class Waiting:
    """A function that waits for leave to start a worker."""

    __slots__ = ("delay", "number", "passed", "since", "still", "want")

    def __init__(self, number: int, since: float) -> None:
        self.number = number
        self.since = since
        self.want: Want
        self.delay: Delay | None = None
        """Why, and until when at least; None: others come first."""
        self.passed = 0
        """Others' starts since."""
        self.still = True
        """It has not said otherwise."""

    @property
    def rank(self) -> tuple[bool, int, int]:
        return self.passed < PATIENCE, self.want.urgency, self.number


class Starts:
    """Lives on the loop's thread. `fill` is called for a function that was refused when its turn has come, to ask again."""

    def __init__(
        self,
        loop: Loop,
        fill: Callable[[str], None],
        governor: Governor,
        clock: Callable[[], float],
        stats: EngineStats,
    ) -> None:
        self._loop = loop
        self._fill = fill
        self._governor = governor
        self._clock = clock
        self._delayed = stats.starts_delayed
        self._waiting: dict[str, Waiting] = {}
        self._numbers = itertools.count()
        self._whose = ""
        self._last_turn = -1
        self._posted = False
        self._alarm = loop.alarm(self._ask_all)

    def may(self, function: str, want: Want) -> bool:
        """May it start a worker now? If so it does (`begun`)."""
        now, waiting = self._clock(), self._waiting.get(function)
        if waiting is not None:
            waiting.still = True
            more_urgent = want.urgency < waiting.want.urgency
            if waiting.delay is not None and more_urgent:
                waiting.delay = waiting.delay._replace(until=now)
            elif waiting.delay is not None and now < waiting.delay.until and function != self._whose:
                return False
        if self._last_turn == self._loop.turns or (self._waiting and function != self._whose):
            self._wait(function, want, now)
            self._post()
            return False
        if delay := self._governor.judge(now, want):
            self._hold(self._wait(function, want, now), function, delay)
            return False
        self._last_turn = self._loop.turns
        self._waiting.pop(function, None)
        for other in self._waiting.values():
            other.passed += 1
        return True

    def begun(self, worker_id: str, memory: int) -> None:
        """A worker that declares so many bytes is being started."""
        self._governor.starts(self._clock(), worker_id, memory)

    def asks(self, worker_id: str) -> None:
        """It asks for its first event."""
        self._governor.asks(worker_id)

    def gone(self, worker_id: str) -> None:
        self._governor.gone(worker_id)

    def delay(self, function: str) -> tuple[Delay, float] | None:
        """Why it may start no worker just now, and for how many seconds that has been so; None: it may."""
        waiting = self._waiting.get(function)
        return None if waiting is None or waiting.delay is None else (waiting.delay, self._clock() - waiting.since)

    def _wait(self, function: str, want: Want, now: float) -> Waiting:
        waiting = self._waiting.get(function)
        if waiting is None:
            waiting = self._waiting[function] = Waiting(next(self._numbers), now)
        waiting.want = want
        return waiting

    def _hold(self, waiting: Waiting, function: str, delay: Delay) -> None:
        if waiting.delay is None or waiting.delay.reason != delay.reason:
            self._delayed[function, delay.reason] += 1
        waiting.delay = delay
        self._alarm.no_later_than(delay.until)

    def _post(self) -> None:
        if not self._posted:
            self._posted = True
            self._loop.post(self._ask_all)

    def _ask_all(self) -> None:
        """Ask those who wait, until one has started a worker: others may need none any more."""
        self._posted = False
        for function, waiting in sorted(self._waiting.items(), key=lambda item: item[1].rank):
            if self._last_turn == self._loop.turns:
                break
            if waiting.delay is None or waiting.delay.until <= self._clock():
                self._ask(function, waiting)
        self._whose = ""
        soonest = min((each.delay.until if each.delay else 0.0 for each in self._waiting.values()), default=NEVER)
        if soonest <= self._clock():
            self._post()
        else:
            self._alarm.no_later_than(soonest)

    def _ask(self, function: str, waiting: Waiting) -> None:
        waiting.still = False
        self._whose = function
        self._fill(function)
        if self._waiting.get(function) is waiting and not waiting.still:
            del self._waiting[function]
