"""`every`: each message is an event. It has no phases and no end: its matches are in the state `message`.

Late and out-of-order messages count too, for each is an event of its own; of several within one cooldown the first counts.
"""

from __future__ import annotations

from edge_agent.domain.reading import Sample, Value
from edge_agent.domain.rules.machine import AHEAD_MS, Machine
from edge_agent.domain.rules.memory import Memory
from edge_agent.domain.rules.spec import Match


class Each(Machine):
    """Its memory (cooldown, deadband) is saved lazily: the journal's tail brings it up to date after a crash."""

    __slots__ = ()

    def observe(self, sample: Sample, value: Value | None, t: int) -> list[Match] | None:
        terms = self.terms
        if terms.rule.reading and type(value) not in terms.kinds:
            return None
        if self.fired > sample.received + AHEAD_MS:
            self.set_back(t)
        if terms.deadband is not None and self._inside_deadband(value, t):
            return None
        late = sample.received - t > terms.late_ms
        found = [self._message(sample, value, t, late)] if self._due(t, late) <= t else None
        if t >= self.t:
            self.previous, self.value, self.t = self.value, value, t
        self.touched = True
        return found

    def revert(self, memory: Memory) -> None:
        """Nothing to take back: having counted the message is all the memory there is."""

    def _message(self, sample: Sample, value: Value | None, t: int, late: bool) -> Match:
        name = f"{sample.id}/{self.terms.rule.name}"
        self.since, self.episode, self.late = t, name, late
        self.fired, self.fired_late = t, late
        return self._match(name, "message", t, (value, self.value), sample.values)
