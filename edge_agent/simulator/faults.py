"""What goes wrong with real boards, at a pace one can wait for and, from a seed, the same way again.

Enters: true values. Leaves: what a board with these faults would say, and when it restarts, loses its clock or its
order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from edge_agent.domain.reading import Value


@dataclass(frozen=True, slots=True)
class Rates:
    """Chances per measurement: 0 never, 1 always."""

    stuck: float = 0.0005
    """One reading repeats its value for a minute or so: a sensor that hangs."""
    dropout: float = 0.002
    """One reading is missing from the message: a sensor that did not answer."""
    spike: float = 0.0005
    """One number is its range's end: noise on the wire."""
    reboot: float = 0.0002
    """The board restarts: a new boot, and no clock for a while."""
    swap: float = 0.001
    """A message is overtaken by the next one."""
    no_clock: float = 0.3
    """Chance that a board starts without knowing the time."""

    @classmethod
    def none(cls) -> Rates:
        """A board that is always right."""
        return cls(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


STUCK_FOR = 60
"""Measurements."""


class Faults:
    """The faults of one board; `ranges` is its `about` topic's `readings`."""

    def __init__(self, random: Random, rates: Rates, ranges: Mapping[str, Mapping[str, Any]]) -> None:
        self._random = random
        self._rates = rates
        self._ranges = ranges
        self._stuck: dict[str, tuple[Value, int]] = {}

    def through(self, values: dict[str, Value]) -> dict[str, Value]:
        """`values` as a faulty board would report them; empty when nothing is left."""
        said = {name: self._held(name, value) for name, value in values.items()}
        name = self._random.choice(list(said)) if said else ""
        if name and self._happens(self._rates.stuck):
            self._stuck[name] = (said[name], STUCK_FOR)
        if name and self._happens(self._rates.spike):
            said[name] = self._ranges.get(name, {}).get(self._random.choice(("min", "max")), said[name])
        if name and self._happens(self._rates.dropout):
            del said[name]
        return said

    def reboots(self) -> bool:
        return self._happens(self._rates.reboot)

    def swaps(self) -> bool:
        return self._happens(self._rates.swap)

    def clock_missing_for(self) -> int:
        """Milliseconds until a board that starts now knows the time."""
        return self._random.randrange(2_000, 15_000) if self._happens(self._rates.no_clock) else 0

    def _held(self, name: str, value: Value) -> Value:
        if name not in self._stuck:
            return value
        old, left = self._stuck.pop(name)
        if left > 1:
            self._stuck[name] = (old, left - 1)
        return old

    def _happens(self, chance: float) -> bool:
        return chance > 0 and self._random.random() < chance
