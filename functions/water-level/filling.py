"""When a pump that fills a tank runs. Values in, a decision out: no clock, no broker, no chance.

Enters: the plan, what was remembered, a level, the time. Leaves: what to remember, and for how many seconds the pump may run.
Guarantee: it never runs longer than `plan.longest` on end, whatever is lost, late or repeated, as long as the board stops
when a command's `for` is over, no command is delivered later than `plan.delay`, and the clock is not set back meanwhile.
Each command is good for `lease` only, and none reaches beyond the run's end; who remembers nothing rests first.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Plan:
    """Levels in the sensor's unit, times in seconds."""

    low: float
    high: float
    longest: float
    rise: float
    within: float
    """The level must rise by `rise` within so many seconds, or the pump is taken to run dry."""
    rest: float
    lease: float
    delay: float

    def faults(self) -> list[str]:
        """What does not go together, as sentences that name variables."""
        found = []
        if self.low >= self.high:
            found.append("WATER_LOW is not below WATER_HIGH: write for example 20 and 80")
        if self.rest < self.lease + self.delay:
            found.append(
                f"WATER_REST is shorter than WATER_LEASE and WATER_DELAY: write {self.lease + self.delay:g}s or more"
            )
        if self.longest <= self.delay + 1:
            found.append("WATER_LONGEST is not longer than WATER_DELAY and a second: write for example 10m")
        if self.rise <= 0:
            found.append("WATER_RISE is not above 0: write what the tank gains within WATER_RISE_WITHIN, as in 1")
        return found


@dataclass(frozen=True)
class Memory:
    """What is kept between two readings. `phase` is idle, filling, resting or fault; times are epoch seconds.

    `level` and `risen`: how high the water stood when it last rose, and when that was.
    """

    phase: str
    since: float
    level: float
    risen: float
    reason: str = ""
    command: str = ""
    """The id of the last command."""

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def read(cls, document: dict[str, Any]) -> Memory | None:
        """None for what is no memory: nobody knows what was."""
        try:
            numbers = [float(document[name]) for name in ("since", "level", "risen")]
            return cls(str(document["phase"]), *numbers, str(document["reason"]), str(document["command"]))
        except (KeyError, TypeError, ValueError):
            return None


@dataclass(frozen=True)
class Decision:
    """`run`: seconds from now that the pump may run, 0 to stop it, None to say nothing."""

    memory: Memory
    run: float | None = None


STOP = 0.0


def decide(plan: Plan, memory: Memory | None, level: float, now: float, *, refusal: str = "") -> Decision:
    """What a level means. `refusal` is what the board said to the last command, if it refused it."""
    if memory is None or memory.since > now:  # forgotten, or the clock was set back
        return Decision(_phase("resting", level, now, "nobody knows how long the pump has run: it rests first"), STOP)
    if memory.phase == "filling":
        return _filling(plan, memory, level, now, refusal)
    if memory.phase == "fault" or (memory.phase == "resting" and now - memory.since < plan.rest):
        return Decision(memory)
    if level < plan.low:
        return Decision(_phase("filling", level, now, f"{level:g} is below {plan.low:g}"), _lease(plan, 0.0))
    return Decision(memory if memory.phase == "idle" else _phase("idle", level, now, f"{level:g} is enough"))


def reset(level: float, now: float) -> Decision:
    """A person has looked at the pump: start again, after a rest."""
    return Decision(_phase("resting", level, now, "reset by hand"), STOP)


def _filling(plan: Plan, memory: Memory, level: float, now: float, refusal: str) -> Decision:
    elapsed = now - memory.since
    if level >= plan.high:
        return Decision(_phase("resting", level, now, f"{level:g} after {elapsed:.0f} s"), STOP)
    if level >= memory.level + plan.rise:
        memory = Memory("filling", memory.since, level, now, memory.reason, memory.command)
    fault = ""
    if refusal:
        fault = f"the pump refuses: {refusal}"
    elif _lease(plan, elapsed) <= 0:
        fault = f"the pump ran its longest time of {plan.longest:g} s and the level is only {level:g}"
    elif now - memory.risen >= plan.within:
        fault = f"the level stays at {level:g} while the pump runs: no water, a dead pump, or a stuck sensor"
    if fault:
        return Decision(_phase("fault", level, now, fault), STOP)
    return Decision(memory, _lease(plan, elapsed))


def _lease(plan: Plan, elapsed: float) -> float:
    return min(plan.lease, plan.longest - plan.delay - elapsed)


def _phase(name: str, level: float, now: float, reason: str) -> Memory:
    return Memory(name, now, level, now, reason)
