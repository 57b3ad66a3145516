"""How many workers does a function need? Pure arithmetic: counts in, a number out.

Cold, warm and hot are one mechanism: `min_idle` workers kept waiting, more while events queue, never above `max_workers`,
and those too many are let go after `idle_timeout`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from random import Random

from edge_agent.domain.function import FunctionSpec
from edge_agent.engine.functions.retry import pause

FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 60.0
"""Seconds without a start after the first failed one, and at most."""
NOTICEABLE = 0.05
"""Seconds: nobody minds a queue that is gone by then, however quick a start would be."""


@dataclass(frozen=True, slots=True)
class Census:
    """A function's workers by what they do. `coming` will ask soon (starting, or between two events)."""

    coming: int = 0
    idle: int = 0
    busy: int = 0
    ending: int = 0

    @property
    def alive(self) -> int:
        return self.coming + self.idle + self.busy + self.ending


@dataclass(slots=True)
class Pace:
    """How long this function takes, in seconds, as seen lately (moving averages); 0.0 before the first."""

    start: float = 0.0
    service: float = 0.0

    def started(self, seconds: float) -> None:
        self.start += (seconds - self.start) * (0.3 if self.start else 1.0)

    def served(self, seconds: float) -> None:
        self.service += (seconds - self.service) * (0.1 if self.service else 1.0)


def to_start(spec: FunctionSpec, census: Census, queued: int, pace: Pace) -> int:
    """How many workers to start now.

    A fresh worker per event: one for each queued event, and `min_idle` beside. Workers that serve many: another one only
    if those there would need longer for the queue than its start takes, because starting a runtime costs a small
    machine more than hundreds of quick events.
    """
    room = spec.pool.max_workers - census.alive
    waiting = census.coming + census.idle
    if spec.isolation == "shared":
        wanted = _to_share(census.busy, queued, pace)
        return max(0, min(room, max(wanted, spec.pool.min_idle) - waiting - census.busy))
    return max(0, min(room, queued + spec.pool.min_idle - waiting))


def _to_share(busy: int, queued: int, pace: Pace) -> int:
    """How many workers the queue is worth."""
    if not queued:
        return 0
    if not pace.service:
        return busy + queued
    return max(1, min(busy + queued, ceil(queued * pace.service / max(pace.start, NOTICEABLE))))


def to_let_go(spec: FunctionSpec, idle_since: Iterable[float], now: float) -> int:
    """How many of the idle workers have idled too long; `min_idle` stay."""
    since = sorted(idle_since)
    too_long = sum(1 for at in since if now - at >= spec.pool.idle_timeout)
    return min(too_long, max(0, len(since) - spec.pool.min_idle))


class Backoff:
    """Starts that fail are tried again less and less often: a broken function must not keep a small machine busy."""

    __slots__ = ("failures", "until")

    def __init__(self) -> None:
        self.failures = 0
        self.until = 0.0

    def failed(self, now: float, chance: Random) -> None:
        self.failures += 1
        self.until = now + pause(self.failures, chance, first=FIRST_BACKOFF, longest=LONGEST_BACKOFF)

    def worked(self) -> None:
        self.failures = 0
        self.until = 0.0

    def allows(self, wanted: int, coming: int, now: float) -> int:
        """How many of `wanted` may start now: all of them, or one at a time on probation after a failure."""
        if not self.failures:
            return wanted
        return min(wanted, 1) if now >= self.until and not coming else 0
