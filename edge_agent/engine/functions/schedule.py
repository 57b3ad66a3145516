"""In which hours more workers wait: `pool.schedule` as a function of the wall clock.

Enters: the time (epoch seconds). Leaves: the schedule that asks for most just now, until when, and when to look again.
Guarantee: it depends on the time asked for alone. Who restarts in the middle of a window is in it; a clock that is set back
or forward is in the window of the new time. When the clocks change, cron times are those of `domain.schedule`; `for` lasts
so many real seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from edge_agent.domain.function import ScheduleSpec
from edge_agent.domain.schedule import following, newest

NEVER = float("inf")
_SHORTLY = 60.0
"""Seconds to look back for the latest beginning before the whole of `for`: a cron of every minute has 1,440 a day."""


class Window(NamedTuple):
    """The time that a schedule covers just now; `ends` in epoch seconds."""

    schedule: ScheduleSpec
    ends: float


class Calendar:
    """All schedules of one function."""

    def __init__(self, schedules: Sequence[ScheduleSpec]) -> None:
        self._hours = [_Hours(schedule) for schedule in schedules]

    def look(self, now: float) -> tuple[Window | None, float]:
        """The window with the largest `min_idle` at `now` (epoch seconds; the longest of equals), and when to look again."""
        windows, again = [], NEVER
        for hours in self._hours:
            ends, begins = hours.look(now)
            if ends is not None:
                windows.append(Window(hours.schedule, ends))
                again = min(again, ends)
            again = min(again, begins)
        return max(windows, key=lambda window: (window.schedule.min_idle, window.ends), default=None), again


class _Hours:
    """One schedule. Remembers between which two of its times it was asked last, as long as that is true."""

    def __init__(self, schedule: ScheduleSpec) -> None:
        self.schedule = schedule
        self._since = NEVER
        self._began: float | None = None
        self._next = NEVER

    def look(self, now: float) -> tuple[float | None, float]:
        """When the window around `now` ends (None: there is none), and when the next begins; epoch seconds."""
        if not self._since <= now < self._next:
            self._seek(now)
        if self._began is not None and now < self._began + self.schedule.lasts:
            return self._began + self.schedule.lasts, self._next
        return None, self._next

    def _seek(self, now: float) -> None:
        cron, zone, at = self.schedule.cron, self.schedule.time_zone, int(now * 1000)
        began = None
        for back in (_SHORTLY, self.schedule.lasts):
            began = began or newest(cron, zone, at - int(min(back, self.schedule.lasts) * 1000), at)
        comes = following(cron, zone, at)
        self._began = None if began is None else began / 1000
        self._next = NEVER if comes is None else comes / 1000
        self._since = now if self._began is None else self._began
