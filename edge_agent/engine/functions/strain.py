"""Is the machine under strain, and how slowly are workers to be started then? Pure: readings and times are arguments.

Enters: `Vitals`. Leaves: for each thing that can be wrong, whether it is, in words, and the pause between two starts.
Guarantee: no flapping. What has begun is over only when it has been clearly better, by a lower mark than the one it
began at, for `HOLD` seconds; what the machine does not tell is never wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from edge_agent.domain.vitals import Vitals

HOLD = 10.0
"""Seconds: the kernel's shortest average of pressure, and longer than a supply's voltage needs to flicker."""


class Pace(NamedTuple):
    """Seconds between two starts: of workers for events that wait, and of those that wait for events."""

    events: float = 0.0
    spare: float = 0.0


SLOW, CAREFUL, SPARING = Pace(10.0, 60.0), Pace(1.0, 10.0), Pace(0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Gauge:
    """One thing that can be wrong: from `high` on, until it is below `low`."""

    reason: str
    """One word, for metrics."""
    measure: Callable[[Vitals], float | None]
    high: float
    low: float
    pace: Pace
    words: Callable[[Vitals], str]
    """What is wrong, as the beginning of a sentence."""
    until: str
    """What has to happen, as its end."""


class Strain:
    """What is wrong of some gauges, as of the last `look`."""

    def __init__(self, gauges: Sequence[Gauge]) -> None:
        self._gauges = gauges
        self._bad: dict[str, float] = {}
        """By reason: when it was last seen not to be clearly better."""

    def look(self, now: float, vitals: Vitals) -> None:
        for gauge in self._gauges:
            value = gauge.measure(vitals)
            on = gauge.reason in self._bad
            if value is not None and value >= (gauge.low if on else gauge.high):
                self._bad[gauge.reason] = now
            elif on and now - self._bad[gauge.reason] >= HOLD:
                del self._bad[gauge.reason]

    def worst(self, *, spare: bool) -> tuple[Gauge, float] | None:
        """What slows starts down most, and to how many seconds between two; None: nothing does."""
        wrong = [
            (gauge, gauge.pace[spare]) for gauge in self._gauges if gauge.reason in self._bad and gauge.pace[spare]
        ]
        return max(wrong, key=lambda found: found[1]) if wrong else None


def gauges(hot: float, *, pressure: bool) -> list[Gauge]:
    """What is looked at: heat and supply from `hot` degrees Celsius on (0: not), and the kernel's pressure."""
    return [*(_heat(hot) if hot else []), *(_pressure() if pressure else [])]


def _heat(hot: float) -> list[Gauge]:
    cool = hot - 5.0

    def measure(vitals: Vitals) -> float | None:
        return max(hot, vitals.celsius or 0.0) if vitals.slowed else vitals.celsius

    def words(vitals: Vitals) -> str:
        said = "the board is hot" if vitals.celsius is None else f"{vitals.celsius:.0f} °C"
        return f"{said}, the board throttles" if vitals.slowed else said

    def voltage(vitals: Vitals) -> float:
        return float(vitals.under_voltage)

    weak = "the board's supply is too weak"
    return [
        Gauge(
            "heat", measure, hot, cool, SLOW, words, f"it is below {cool:g} °C (more air, a heat sink or a fan help)"
        ),
        Gauge("voltage", voltage, 1.0, 1.0, SLOW, lambda _: weak, "its voltage holds (edgectl doctor says what helps)"),
    ]


def _pressure() -> list[Gauge]:
    def stalled(what: str, of: str) -> Callable[[Vitals], str]:
        return lambda vitals: f"work stands still {getattr(vitals, of) or 0.0:.0f} % of the time for want of {what}"

    return [
        Gauge(
            "memory-pressure", lambda vitals: vitals.memory_stalled, 10.0, 5.0, SLOW, stalled("memory", "memory_stalled"),
            "that is over (fewer workers that wait, or functions that need less memory, help)",
        ),
        Gauge(
            "io-pressure", lambda vitals: vitals.io_stalled, 50.0, 30.0, CAREFUL, stalled("the disk", "io_stalled"),
            "that is over (an SSD in the place of the card helps)",
        ),
        Gauge(
            "cpu-pressure", lambda vitals: vitals.cpu_awaited, 95.0, 85.0, SPARING,
            lambda vitals: f"the processor is wanted by more than it serves {vitals.cpu_awaited or 0.0:.0f} % of the time",
            "that is over",
        ),
    ]  # fmt: skip
