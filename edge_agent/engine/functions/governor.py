"""May a worker be started now, or not before when, and why not? Pure: time (monotonic seconds) and readings are arguments.

Enters: what a function wants to start; how the machine is (`Vitals`, looked at while starts are wanted only, once a second
at most); which workers came and went. Leaves: leave to start, or a `Delay`.
Guarantee: in any t seconds no more than `burst + t * per_second` are let start; what has to wait is told when to ask again,
a second later at most where the machine is the reason; workers that only wait in advance wait first.

| looked at | a worker for an event | one that waits in advance |
|---|---|---|
| rate | a token each | leaves a quarter of `burst` to events |
| memory | declared `memory` fits beside the reserve | it fits twice |
| heat, throttling, weak supply; memory pressure | one every 10 s | one a minute |
| disk pressure | one a second | one every 10 s |
| processor pressure | | one a second |

Not chosen: no start at all while it is hot. A shelf may be hot all summer, and its alerts have to be sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from edge_agent.domain.quantities import format_size
from edge_agent.domain.vitals import Vitals
from edge_agent.engine.functions.strain import Strain, gauges

LOOK = 1.0
"""Seconds between two looks at the machine at least."""
SLACK = 1e-6
"""Of a token: what is due exactly now may be a rounding error short of it."""
_MEMORY_HELPS = "less `memory` in its manifest or fewer waiting workers of others (minIdle) help"
EVENT_ALONE, EVENT, SPARE_ALONE, SPARE = range(4)
"""Why a worker is wanted, most urgent first: an event waits and there is no worker; there are some; none waits in advance;
more should."""


class Want(NamedTuple):
    """One worker: the memory it declares, in bytes, and how urgent it is."""

    memory: int
    urgency: int = EVENT

    @classmethod
    def of(cls, memory: int, *, event: bool, alone: bool) -> Want:
        """For an event that waits, or to wait in advance; `alone`: there is no other."""
        if event:
            return cls(memory, EVENT_ALONE if alone else EVENT)
        return cls(memory, SPARE_ALONE if alone else SPARE)

    @property
    def spare(self) -> bool:
        return self.urgency >= SPARE_ALONE


class Delay(NamedTuple):
    """`reason` is one word, `why` a sentence for people; ask again at `until` (monotonic seconds)."""

    reason: str
    why: str
    until: float


@dataclass(frozen=True, slots=True)
class Limits:
    """Zero is no limit, nothing looked at. Bytes, degrees Celsius."""

    per_second: float = 0.0
    burst: int = 1
    memory_reserve: int = 0
    hot: float = 0.0
    pressure: bool = False


def nothing_told() -> Vitals:
    return Vitals()


class Governor:
    """Of all functions together. `look` says how the machine is; it must not block."""

    def __init__(self, limits: Limits | None = None, look: Callable[[], Vitals] = nothing_told) -> None:
        self.limits = limits or Limits()
        self._look = look
        self._strain = Strain(gauges(self.limits.hot, pressure=self.limits.pressure))
        self._looks = bool(self.limits.hot or self.limits.pressure or self.limits.memory_reserve)
        self._vitals = Vitals()
        self._looked = self._filled = self._started = float("-inf")
        self._tokens = float(self.limits.burst)
        self._promised = 0
        """Bytes that may yet be taken by workers which the last look did not see at their full size:"""
        self._coming: dict[str, int] = {}
        """those that have not asked for an event,"""
        self._come: dict[str, int] = {}
        """and those that have since then."""
        self._short = False

    # -- what is wanted

    def judge(self, now: float, want: Want) -> Delay | None:
        """None: it may be started; say so by `starts`."""
        if self._looks and now - self._looked >= LOOK:
            self._see(now, self._look())
        return self._memory(want) or self._slowed(now, want) or self._rate(now, want)

    def _memory(self, want: Want) -> Delay | None:
        """Does it fit? After it did not, it has to with an eighth of the reserve to spare, so that it does not flap."""
        reserve, available = self.limits.memory_reserve, self._vitals.memory_available
        if not reserve or available is None:
            return None
        room = max(0, available - self._promised - reserve)
        need = want.memory * 2 if want.spare else want.memory
        margin = reserve // 8 if self._short else 0
        self._short = need + margin > room
        if not self._short:
            return None
        declared = f"a worker declares {format_size(want.memory)}"
        beside = " beside one for an event" if want.spare else ""
        more = f" and {format_size(margin)} are to be left" if margin else ""
        found = f"{format_size(room)} are free beyond the reserve of {format_size(reserve)}"
        why = f"{declared}{beside}{more}, and {found}; {_MEMORY_HELPS}"
        return Delay("memory", why, self._looked + LOOK)

    def _slowed(self, now: float, want: Want) -> Delay | None:
        if (worst := self._strain.worst(spare=want.spare)) is None:
            return None
        gauge, pause = worst
        due = self._started + pause
        if due <= now:
            return None
        what = "those that wait in advance one" if want.spare else "workers start one"
        why = f"{gauge.words(self._vitals)}; {what} {_every(pause)} until {gauge.until}"
        return Delay(gauge.reason, why, min(due, max(now, self._looked + LOOK)))

    def _rate(self, now: float, want: Want) -> Delay | None:
        rate, burst = self.limits.per_second, self.limits.burst
        if not rate:
            return None
        missing = 1.0 + ((burst - 1) / 4 if want.spare else 0.0) - self._level(now)
        if missing <= SLACK:
            return None
        why = f"workers start {rate:g} a second here (functions.starts.per_second), and it is not its turn yet"
        return Delay("rate", why, now + missing / rate)

    def _level(self, now: float) -> float:
        since = now - self._filled
        return (
            min(float(self.limits.burst), self._tokens + since * self.limits.per_second) if since > 0 else self._tokens
        )

    # -- what happens

    def starts(self, now: float, worker_id: str, memory: int) -> None:
        """One is started, whether it was asked for or not: who tries a new version does not wait."""
        self._tokens = self._level(now) - 1.0
        self._filled = self._started = now
        self._coming[worker_id] = memory
        self._promised += memory

    def asks(self, worker_id: str) -> None:
        """It has come to its first question: the next look sees what it takes."""
        if (memory := self._coming.pop(worker_id, None)) is not None:
            self._come[worker_id] = memory

    def gone(self, worker_id: str) -> None:
        self._promised -= self._coming.pop(worker_id, 0) + self._come.pop(worker_id, 0)

    def _see(self, now: float, vitals: Vitals) -> None:
        self._looked, self._vitals = now, vitals
        self._promised -= sum(self._come.values())
        self._come.clear()
        self._strain.look(now, vitals)


def _every(seconds: float) -> str:
    return {1.0: "a second", 60.0: "a minute"}.get(seconds, f"every {seconds:g} s")
