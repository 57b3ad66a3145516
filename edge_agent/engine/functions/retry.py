"""When is a failed attempt tried again? Pure: time and chance are arguments."""

from __future__ import annotations

from random import Random

from edge_agent.domain.function import RetrySpec

FIRST, LONGEST = 1.0, 60.0
"""Seconds before the second attempt, and between any two at most."""


def pause(failures: int, chance: Random, *, first: float = FIRST, longest: float = LONGEST) -> float:
    """Seconds to wait after the `failures`-th failure in a row: doubled each time, capped, the upper half jittered.

    Half of it is jitter, so that events which failed together do not come back together (M. Brooker, "Exponential
    Backoff and Jitter", AWS Architecture Blog, 2015: "equal jitter").
    """
    whole = min(longest, first * 2.0 ** min(failures - 1, 32))
    return whole / 2 + chance.random() * whole / 2


def again(number: int, left: float, retry: RetrySpec, chance: Random) -> float | None:
    """Seconds until the next attempt after attempt `number` failed; None when that was the last.

    `left` is the seconds until the event is too old: an attempt that could only begin later is not made.
    """
    if number >= retry.attempts:
        return None
    wait = pause(number, chance)
    return wait if wait < left else None
