"""How many workers the last minute asks for, in the words of Knative's pod autoscaler (KPA).

Enters: what the windows hold; how many workers are ready; how long a start takes. Leaves: `desired` for workers that serve
many, `ahead` for fresh ones, `recent` use, `panic`. Pure: time is an argument (monotonic seconds).
Guarantee: while in panic `desired` never falls; with nothing to do for a minute everything is 0 again.
Differs from Knative: concurrency alone does not make a worker. Where events are so quick that a long queue keeps few workers
busy, the share of time that workers are in use decides.
"""

from __future__ import annotations

from math import ceil, sqrt

from edge_agent.engine.functions.windows import PANIC, STABLE, Load, Windows

TARGET = 1.0
"""Events one worker is meant for at a time."""
UTILISATION = 0.7
"""Share of its time a worker is meant to be in use (Knative: `container-concurrency-target-percentage` 70)."""
PANIC_THRESHOLD = 2.0
"""Panic begins when the panic window asks for so many times the workers that are ready (`panic-threshold-percentage` 200)."""
TOLERANCE = 0.1
"""A tenth of a worker is none (Kubernetes' horizontal autoscaler has the same tolerance)."""
TICK = 2.0
"""Seconds between two decisions while there is something to decide (Knative: `tick-interval`)."""


class Demand:
    """Of one function, from `now` on."""

    def __init__(self, now: float) -> None:
        self.windows = Windows(now)
        self.stable = self.panicking = Load()
        """Averages over the two windows, as of the last decision."""
        self.desired = 0
        self.ahead = 0
        self.recent = 0
        self.panic = False
        self._calm_at = 0.0

    def decide(self, now: float, ready: int, start: float) -> float | None:
        """Look at the windows anew: `ready` workers are there, a start takes `start` seconds. When to look again; None: not
        before something happens."""
        self.stable, self.panicking = self.windows.load(now, STABLE), self.windows.load(now, PANIC)
        if _number(self.panicking.concurrency / TARGET) >= PANIC_THRESHOLD * max(1, ready):
            self._calm_at = now + STABLE
        highest = self.desired if self.panic else 0
        self.panic = now < self._calm_at
        self.desired = _workers(self.stable)
        if self.panic:
            self.desired = max(self.desired, _workers(self.panicking), highest)
        self.ahead = _ahead(max(self.stable.rate, self.panicking.rate) * start)
        self.recent = ceil(self.stable.busy + TOLERANCE) if self.stable.busy else 0
        quiet = not (self.panic or self.stable.concurrency or self.stable.rate or self.windows.now)
        return None if quiet else now + TICK


def _workers(load: Load) -> int:
    return min(_number(load.concurrency / TARGET), _number(load.busy / TARGET / UTILISATION))


def _ahead(expected: float) -> int:
    """How many should wait, or be on their way, when so many events are `expected` during one start: those, and a margin for
    chance (Poisson: the square root, as call centres are staffed)."""
    return _number(expected + sqrt(expected))


def _number(workers: float) -> int:
    return max(0, ceil(workers - TOLERANCE))
