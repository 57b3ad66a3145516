"""When a room is heated or cooled. Values in, a decision out: no clock, no broker, no chance.

Enters: the plan, the set point, what was remembered, a temperature, open windows, the time. Leaves: what to remember, and for
how many seconds the heater or cooler may run.
Guarantee: between two commands at least `least_on` or `least_off` passes, but an open window ends heating at once; a
sensor that says nothing ends it after `lease`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ENTRY = re.compile(r"(?:([a-z,-]+) +)?(\d\d?):(\d\d)=(-?\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Entry:
    """From `minute` of the day on, on `days` (0 is Monday), the set point is `target`."""

    days: frozenset[int]
    minute: int
    target: float


def schedule(text: str) -> list[Entry]:
    """Of `mon-fri 06:30=21; mon-fri 22:00=17; sat,sun 08:00=21`; an entry without days is for every day.

    Raises `ValueError` that quotes the entry."""
    entries = []
    for part in filter(None, (part.strip() for part in re.split(r"[;\n]", text))):
        found = _ENTRY.fullmatch(part)
        if not found or int(found[2]) > 23 or int(found[3]) > 59:
            raise ValueError(f"{part!r}: write days, time and temperature, as in mon-fri 06:30=21")
        entries.append(Entry(_days(found[1], part), int(found[2]) * 60 + int(found[3]), float(found[4])))
    if not entries:
        raise ValueError("it is empty: write for example 06:30=21; 22:00=17")
    return entries


def _days(text: str | None, part: str) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    days: set[int] = set()
    for span in text.split(","):
        first, _, last = span.partition("-")
        if first not in DAYS or (last and last not in DAYS):
            raise ValueError(f"{part!r}: days are {', '.join(DAYS)}, as in mon-fri or sat,sun")
        start, end = DAYS.index(first), DAYS.index(last or first)
        days.update((start + step) % 7 for step in range((end - start) % 7 + 1))
    return frozenset(days)


def target(entries: Sequence[Entry], now: datetime) -> float:
    """The set point of the entry that began last, by the wall's clock; it may have begun days ago."""
    minute = now.hour * 60 + now.minute
    for back in range(8):
        day = (now - timedelta(days=back)).weekday()
        begun = [entry for entry in entries if day in entry.days and (back or entry.minute <= minute)]
        if begun:
            return max(begun, key=lambda entry: entry.minute).target
    raise AssertionError("every entry has a day")


@dataclass(frozen=True)
class Plan:
    """Temperatures in the sensor's unit, times in seconds."""

    cooling: bool
    hysteresis: float
    least_on: float
    least_off: float
    lease: float
    frost: float
    """Below it a room is heated although a window is open."""


@dataclass(frozen=True)
class Memory:
    """What is kept between two events; times are epoch seconds. `until`: when the heater stops by itself."""

    on: bool
    since: float
    until: float
    temperature: float | None
    open: tuple[str, ...] = ()
    target: float | None = None

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def read(cls, document: dict[str, Any]) -> Memory | None:
        """None for what is no memory: nobody knows what was."""
        try:
            temperature, set_point = document["temperature"], document["target"]
            return cls(
                document["on"] is True,
                float(document["since"]),
                float(document["until"]),
                None if temperature is None else float(temperature),
                tuple(str(name) for name in document["open"]),
                None if set_point is None else float(set_point),
            )
        except (KeyError, TypeError, ValueError):
            return None


@dataclass(frozen=True)
class Decision:
    """`run`: seconds from now that it may run, 0 to stop it, None to say nothing."""

    memory: Memory
    run: float | None = None


STOP = 0.0


def decide(plan: Plan, set_point: float, memory: Memory | None, now: float) -> Decision:
    """`memory` has the latest temperature and windows in it already; None, or one from the future, is a cold start."""
    if memory is None or memory.since > now:
        known = memory or Memory(False, now, now, None)
        return Decision(replace(known, on=False, since=now, until=now, target=set_point), STOP)
    memory = replace(memory, target=set_point)
    if memory.on and memory.until <= now:  # no event came in time: it has stopped by itself
        memory = replace(memory, on=False, since=memory.until)
    if memory.temperature is None:
        return Decision(memory)
    aired = bool(memory.open) and (plan.cooling or memory.temperature >= plan.frost)
    wanted = not aired and _wanted(plan, set_point, memory.on, memory.temperature, bool(memory.open))
    held = now - memory.since < (plan.least_on if memory.on else plan.least_off)
    if wanted == memory.on or (held and not (memory.on and aired)):
        if memory.on and memory.until - now < plan.lease / 2:
            return Decision(replace(memory, until=now + plan.lease), plan.lease)
        return Decision(memory)
    if wanted:
        return Decision(replace(memory, on=True, since=now, until=now + plan.lease), plan.lease)
    return Decision(replace(memory, on=False, since=now, until=now), STOP)


def _wanted(plan: Plan, set_point: float, on: bool, temperature: float, opened: bool) -> bool:
    """Between the two limits: as it was."""
    if opened:
        set_point = min(set_point, plan.frost)
    missing = temperature - set_point if plan.cooling else set_point - temperature
    return missing > -plan.hysteresis if on else missing >= plan.hysteresis
