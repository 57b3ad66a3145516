"""How many workers are to wait just now: what the operator says, else the larger of manifest and schedule.

Enters: the wall clock (epoch seconds). Leaves: a number. An operator's word holds until it is cleared, through new
versions as well.
"""

from __future__ import annotations

from typing import Any

from edge_agent.domain.function import PoolSpec
from edge_agent.engine.functions.schedule import NEVER, Calendar, Window

LOOK = 60.0
"""Seconds after which the wall clock is read again at the latest: somebody may have set it."""


class Minimum:
    """Of one function."""

    def __init__(self, pool: PoolSpec) -> None:
        self.override: int | None = None
        self._window: Window | None = None
        self.replace(pool)

    def replace(self, pool: PoolSpec) -> None:
        """Another version's numbers; `look` comes next."""
        self._pool = pool
        self._calendar = Calendar(pool.schedule)
        self._window = None

    @property
    def now(self) -> int:
        if self.override is not None:
            return self.override
        return max(self._pool.min_idle, self._window.schedule.min_idle if self._window else 0)

    def look(self, now: float) -> float:
        """Read the calendar; in how many seconds to do so again (NEVER: there is none)."""
        if not self._pool.schedule:
            return NEVER
        self._window, again = self._calendar.look(now)
        return min(LOOK, again - now)

    def status(self) -> dict[str, Any] | None:
        """The schedule window this is: `cron`, `time_zone`, `min_idle`, `until` (epoch ms); None in none."""
        if self._window is None:
            return None
        schedule, ends = self._window
        return {
            "cron": schedule.cron,
            "time_zone": schedule.time_zone,
            "min_idle": schedule.min_idle,
            "until": int(ends * 1000),
        }
