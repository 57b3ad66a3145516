"""Token buckets, one per client, in a table that cannot grow without end.

In: a client's key. Out: how long it has to wait. Guarantee: O(1) and at most `most` clients remembered; the one that has been
quiet longest is forgotten, which gives it a full bucket: the limit errs on the client's side.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_second` on average, `burst` at once."""

    per_second: float
    burst: float


class Buckets:
    """`clock` gives seconds and never goes back."""

    def __init__(self, rate: Rate, clock: Callable[[], float], *, most: int = 4096) -> None:
        self._rate, self._clock, self._most = rate, clock, most
        self._lock = threading.Lock()
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, amount: float = 1.0) -> float:
        """0.0: go ahead. Otherwise the seconds until there is enough, and nothing was taken."""
        with self._lock:
            level, now = self._level(key)
            wait = max(0.0, (amount - level) / self._rate.per_second)
            self._levels[key] = (level if wait else level - amount, now)
            if len(self._levels) > self._most:
                self._levels.popitem(last=False)
        return wait

    def wait(self, key: str) -> float:
        """Seconds until one could be taken; takes nothing and remembers nobody."""
        with self._lock:
            return max(0.0, (1.0 - self._level(key, keep=True)[0]) / self._rate.per_second)

    def _level(self, key: str, *, keep: bool = False) -> tuple[float, float]:
        now = self._clock()
        level, then = self._levels.get(key, (self._rate.burst, now))
        if not keep:
            self._levels.pop(key, None)  # it comes back at the end: the order is who was heard last
        return min(self._rate.burst, level + (now - then) * self._rate.per_second), now
