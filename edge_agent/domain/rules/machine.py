"""One rule on one device: normal -> pending -> firing -> normal again (resolved).

Enters: the readings the rule concerns, one by one, and the passing of time. Leaves: `Match`es. No clock, no I/O: the same
readings and times always give the same matches with the same ids, after any crash and in a replay.

**Which time counts.** The reading's own (`Sample.t`), epoch ms; `received` where `t` is more than two minutes ahead of it.
- *Late* (received more than `lateAfter` after `t`): judged like any other, but the episode is `late`: a past alert that
  wakes nobody. When the first reading that is not late finds the condition still holding, the late episode ends there and
  a real one begins: what holds now must wake somebody.
- *Out of order* (older than the last reading this rule considered on this device): not judged.
- *The agent's clock was set back*: what this machine remembers lies more than two minutes in the future and cannot order
  anything; the times are moved to now, the value before is forgotten, and judging goes on.

**Considered** is a reading of a type the condition can judge (a boolean is no number), in order, and not inside the
`deadband` around the last considered value, unless `longestSilence` has passed since that one. Others change nothing.

**Pending.** With `for`, or while a cooldown lasts, a condition that begins to hold is pending until
`max(began + for, last firing + cooldown)`; if it holds all that time the rule fires: found by the first reading at or after
that moment for which it holds (the event bears that reading's id), or by the timer when no such reading has come. A reading
that comes after that moment and says it is over finds that the timer was due: it fires and is resolved at once (as a past
alert when that moment is longer ago than `lateAfter`).
Hysteresis (`clearAbove`, `clearBelow`) is for firing rules; a pending one is normal again at the limit itself.

**Cooldown** counts from the last firing. What still holds when it ends fires then; what came and went meanwhile is not
reported. A firing that was late silences only late ones: nobody heard it. `changedBy` is true of an instant and cannot wait:
a jump during the cooldown is dropped. It fires until the next considered reading that does not jump.

**Timers** fire with the last value known. They are late if the reading that holds the condition was; such a timer waits
until the backlog has drained, for the next reading in it may end the hold. A reading measured
before the timer but heard after it may resolve it: such an episode begins and ends at the timer's moment.
"""

from __future__ import annotations

from edge_agent.domain.reading import Sample, Value
from edge_agent.domain.rules.conditions import GRAIN
from edge_agent.domain.rules.memory import FIRING, NORMAL, PENDING, Memory
from edge_agent.domain.rules.spec import Match
from edge_agent.domain.rules.terms import Terms

AHEAD_MS = 120_000
"""How far a board's clock may be ahead before its times are not believed; two boards set by NTP differ by far less."""


class Machine:
    """A condition over readings. `moved` is set when something changed that must be stored with the matches (phase, timer);
    `touched` when anything changed; the book clears both. `queued` is the agenda's note to itself."""

    __slots__ = (
        "device", "episode", "fired", "fired_late", "late", "moved", "phase", "previous", "queued", "readings", "since",
        "t", "terms", "touched", "unit", "upto", "value",
    )  # fmt: skip

    def __init__(self, terms: Terms, device: str, unit: str = "") -> None:
        self.terms = terms
        self.device = device
        self.unit = unit
        self.queued: int | None = None
        self.moved = self.touched = False
        self.upto = -1
        self.recall(Memory(terms.meaning))

    def recall(self, memory: Memory) -> None:
        """Become what was remembered."""
        self.phase, self.t, self.value, self.previous = memory.phase, memory.t, memory.value, memory.previous
        self.since, self.late, self.episode = memory.since, memory.late, memory.episode
        self.fired, self.fired_late, self.readings = memory.fired, memory.fired_late, memory.readings

    def memory(self) -> Memory:
        pending = self.phase == PENDING
        return Memory(
            self.terms.meaning, self.phase, self.t, self.value, self.previous, self.since if self.phase else 0,
            self.late and self.phase != NORMAL,
            self.episode if self.phase == FIRING else "", self.fired, self.fired_late, self.readings if pending else {},
        )  # fmt: skip

    def observe(self, sample: Sample, value: Value | None, t: int) -> list[Match] | None:
        """Judge one reading of a live sample, measured at `t` (see "Which time counts"). None: nothing happened."""
        terms = self.terms
        if type(value) not in terms.kinds:
            return None
        if t < self.t:
            if self.t <= sample.received + AHEAD_MS:
                return None
            self.set_back(t)
        if terms.deadband is not None and self._inside_deadband(value, t):
            return self.tick(t)
        phase = self.phase
        holds = terms.holds(value, self.value, t - self.t, phase == FIRING)
        if holds is None:
            return None
        if holds:
            found = None if phase == FIRING and not self.late else self._held(sample, value, t)
        else:
            found = None if phase == NORMAL else self._ended(sample, value, t)
        self.previous, self.value, self.t, self.touched = self.value, value, t, True
        return found

    def wakes(self) -> int | None:
        """When `tick` will have something to do if nothing else happens, epoch ms."""
        return self._due(self.since, self.late) if self.phase == PENDING else None

    def patient(self) -> bool:
        """Whether its timer must wait for the backlog, which may hold the answer."""
        return self.late

    def tick(self, now: int) -> list[Match] | None:
        """Time has passed."""
        due = self.wakes()
        if due is None or due > now:
            return None
        return [self._fire_by_timer(due, self.late)]

    def set_back(self, moment: int) -> None:
        """The clock was set back to `moment`: nothing remembered may lie after it."""
        self.t, self.fired = min(self.t, moment), min(self.fired, moment)
        if self.phase == PENDING:
            self.since, self.moved = min(self.since, moment), True
        else:
            self.value = None

    def revert(self, memory: Memory) -> None:
        """Forget that an episode began or ended, but not the reading that was seen (for replaying the journal)."""
        t, value, previous = self.t, self.value, self.previous
        self.recall(memory)
        self.t, self.value, self.previous, self.moved = t, value, previous, False

    def _inside_deadband(self, value: Value | None, t: int) -> bool:
        last, terms = self.value, self.terms
        if not isinstance(value, (int, float)) or not isinstance(last, (int, float)) or terms.deadband is None:
            return False
        rested = terms.silence_ms is not None and t - self.t >= terms.silence_ms
        return not rested and abs(value - last) < terms.deadband - GRAIN

    def _due(self, since: int, late: bool) -> int:
        due = since + self.terms.for_ms
        if self.terms.cooldown_ms and (late or not self.fired_late):
            return max(due, self.fired + self.terms.cooldown_ms)
        return due

    def _held(self, sample: Sample, value: Value | None, t: int) -> list[Match] | None:
        late = sample.received - t > self.terms.late_ms
        if self.phase == FIRING:
            if late or not self.late:
                return None
            return [self._resolve(sample, value, t), self._fire(sample, value, t, late)]
        since = self.since if self.phase == PENDING else t
        due = self._due(since, late)
        if due <= t:
            return [self._fire(sample, value, t, late)]
        if self.terms.condition.momentary:
            return None
        self.readings = sample.values
        if self.phase == PENDING and self.late == late:
            return None
        self.phase, self.since, self.late, self.moved = PENDING, since, late, True
        return []

    def _ended(self, sample: Sample, value: Value | None, t: int) -> list[Match]:
        if self.phase == FIRING:
            return [self._resolve(sample, value, t)]
        due = self._due(self.since, self.late)
        if due <= t:
            stays = self.terms.holds(value, self.value, t - self.t, True)
            past = self.late or (not stays and sample.received - due > self.terms.late_ms)
            fired = self._fire_by_timer(due, past)
            return [fired, *((self._held(sample, value, t) or ()) if stays else (self._resolve(sample, value, t),))]
        self.phase, self.late, self.readings, self.moved = NORMAL, False, {}, True
        return []

    def _fire(self, sample: Sample, value: Value | None, t: int, late: bool) -> Match:
        self._begin(f"{sample.id}/{self.terms.rule.name}", t, late)
        return self._match(self.episode, "firing", t, (value, self.value), sample.values)

    def _fire_by_timer(self, due: int, late: bool) -> Match:
        readings = self.readings
        self._begin(f"{self.device}/timer/{due}/{self.terms.rule.name}", due, late)
        return self._match(self.episode, "firing", due, (self.value, self.previous), readings)

    def _begin(self, episode: str, at: int, late: bool) -> None:
        self.phase, self.since, self.episode, self.late = FIRING, at, episode, late
        self.fired, self.fired_late, self.readings, self.moved = at, late, {}, True

    def _resolve(self, sample: Sample, value: Value | None, at: int) -> Match:
        name = f"{sample.id}/{self.terms.rule.name}/resolved"
        match = self._match(name, "resolved", max(at, self.since), (value, self.value), sample.values)
        self.phase, self.late, self.moved = NORMAL, False, True
        return match

    def _match(
        self, name: str, state: str, at: int, values: tuple[Value | None, Value | None], readings: dict[str, Value]
    ) -> Match:
        rule = self.terms.rule
        value, previous = values
        said = (self.terms.ends if state == "resolved" else self.terms.begins).render(
            {
                "device": self.device, "reading": rule.reading, "value": value, "previous": previous, "rule": rule.name,
                "severity": rule.severity, "state": state, "unit": self.unit,
            },
            readings,
        )  # fmt: skip
        return Match(
            id=name, rule=rule, device=self.device, reading=rule.reading, state=state, at=at, value=value, previous=previous,
            message=said, late=self.late, readings=readings, since=self.since, episode=self.episode,
        )  # fmt: skip
