"""`missingFor`: a sensor that has gone silent. The one rule that is met by nothing happening.

It counts from when the agent last heard the reading (`Sample.received`, so a board with a wrong clock is not missed), late
and out-of-order readings included, and is judged by the timer alone, once the backlog has drained: a reading in a queue is
not missing. The first reading heard again resolves it. A device is missed only after it was heard once.
"""

from __future__ import annotations

from edge_agent.domain.reading import Sample, Value
from edge_agent.domain.rules.machine import Machine
from edge_agent.domain.rules.memory import FIRING, NEVER, NORMAL
from edge_agent.domain.rules.spec import Match


class Silence(Machine):
    """`t` is when it was last heard, on the agent's clock; `value` is what was heard then."""

    __slots__ = ()

    def observe(self, sample: Sample, value: Value | None, t: int) -> list[Match] | None:
        heard = sample.received
        found: list[Match] | None = None
        if self.phase == FIRING:
            found = [self._resolve(sample, value, heard)]
        elif heard < self.t or self.t == NEVER:
            found, self.moved = [], True
        self.value, self.t, self.touched = value, heard, True
        return found

    def wakes(self) -> int | None:
        if self.phase != NORMAL or self.t == NEVER:
            return None
        return max(self.t + self.terms.missing_ms, self.fired + self.terms.cooldown_ms)

    def patient(self) -> bool:
        return True

    def tick(self, now: int) -> list[Match] | None:
        due = self.wakes()
        return None if due is None or due > now else [self._fire_by_timer(due, False)]

    def set_back(self, moment: int) -> None:
        self.t, self.fired, self.moved = min(self.t, moment), min(self.fired, moment), True

    def listen(self, now: int) -> None:
        """Count from now: the device is known, but this rule has never heard it."""
        if self.t == NEVER:
            self.t, self.moved = now, True
