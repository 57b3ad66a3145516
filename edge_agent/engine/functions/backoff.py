"""Starts that fail are tried again less and less often: a broken function must not keep a small machine busy."""

from __future__ import annotations

from random import Random

from edge_agent.engine.functions.retry import pause

FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 60.0
"""Seconds without a start after the first failed one, and at most."""


class Backoff:
    """Of one function. Pure: time (monotonic seconds) and chance are arguments."""

    __slots__ = ("failures", "until")

    def __init__(self) -> None:
        self.failures = 0
        self.until = 0.0

    def failed(self, now: float, chance: Random) -> None:
        """What was started together and failed together is one failure."""
        if now < self.until:
            return
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
