"""How many workers does a function need? Pure arithmetic: counts in, a number out.

Cold, warm and hot are one mechanism: `min_idle` workers kept waiting, more while events queue or have been many lately,
never above `max_workers`, and those too many are let go after `idle_timeout`.

Wanted are, for `pod`: one for each event in work or queued, and beside them `min_idle` and `ahead`. For `process` and
`shared`: what the queue is worth now, or what the last minute asks for (`demand`), whichever is more; and at least
`min_idle` beside those whose event lasts longer than a start takes.

Not chosen: Knative's averages alone. They grow with a queue of a thousand events that one worker clears in a second.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import ceil

from edge_agent.domain.function import FunctionSpec

NOTICEABLE = 0.05
"""Seconds: nobody minds a queue that is gone by then, however quick a start would be."""


@dataclass(frozen=True, slots=True)
class Census:
    """A function's workers by what they do. `coming` will ask soon (starting, or between two events)."""

    coming: int = 0
    idle: int = 0
    busy: int = 0
    ending: int = 0
    late: int = 0
    """Of the busy: those that have been for longer than a start takes, so that no one should wait for them."""

    @property
    def ready(self) -> int:
        return self.coming + self.idle + self.busy

    @property
    def alive(self) -> int:
        return self.ready + self.ending


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted besides workers for the present queue."""

    min_idle: int = 0
    """Waiting: what manifest, schedule or operator say now."""
    desired: int = 0
    """`process`, `shared`: workers in all, as the windows have it (`demand`)."""
    ahead: int = 0
    """`pod`: waiting beyond `min_idle`, for events expected while a start takes."""
    recent: int = 0
    """`process`, `shared`: in use on average of the last minute, rounded up generously."""
    panic: bool = False
    """Nobody is let go."""


@dataclass(slots=True)
class Pace:
    """How long this function takes, in seconds, as seen lately (moving averages); 0.0 before the first."""

    start: float = 0.0
    service: float = 0.0
    renewal: float = 0.0
    """`process`: from an answer to the next question."""

    def started(self, seconds: float) -> None:
        self.start += (seconds - self.start) * (0.3 if self.start else 1.0)

    def served(self, seconds: float) -> None:
        self.service += (seconds - self.service) * (0.1 if self.service else 1.0)

    def renewed(self, seconds: float) -> None:
        self.renewal += (seconds - self.renewal) * (0.1 if self.renewal else 1.0)

    @property
    def noticeable_start(self) -> float:
        return max(self.start, NOTICEABLE)


def wanted(spec: FunctionSpec, census: Census, queued: int, pace: Pace, wish: Wish) -> int:
    """How many workers there should be, those that end not counted; at most `max_workers`."""
    if spec.isolation == "pod":
        number = census.busy + queued + wish.min_idle + wish.ahead
    else:
        number = max(_worth(census.busy, queued, pace), wish.desired, census.late + wish.min_idle)
    return min(number, spec.pool.max_workers)


def to_start(spec: FunctionSpec, census: Census, queued: int, pace: Pace, wish: Wish) -> int:
    """How many workers to start now."""
    missing = wanted(spec, census, queued, pace, wish) - census.ready
    return max(0, min(spec.pool.max_workers - census.alive, missing))


def _worth(busy: int, queued: int, pace: Pace) -> int:
    """How many workers that serve many the queue is worth.

    One more only if those there would need longer for the queue than its start takes, because starting a runtime costs
    a small machine more than hundreds of quick events.
    """
    if not queued:
        return 0
    if not pace.service:
        return busy + queued
    return max(1, min(busy + queued, ceil(queued * (pace.service + pace.renewal) / pace.noticeable_start)))


def to_let_go(spec: FunctionSpec, census: Census, wish: Wish, idle_since: Iterable[float], now: float) -> int:
    """How many of the idle workers have idled too long and are not wanted."""
    if wish.panic:
        return 0
    too_long = sum(1 for at in idle_since if now - at >= spec.pool.idle_timeout)
    # who waits beside those in use is not let go as soon as one of them is back, only to be started again with the next event
    in_use = max(census.busy, wish.recent if wish.min_idle else 0)
    return max(0, min(too_long, census.ready - wanted(spec, replace(census, late=in_use), 0, Pace(), wish)))
