"""Functions that run by the clock.

Enters: the time, every quarter of a second. Leaves: invocations for the times that have come, with marks of how far each
schedule got, for the same commit.
Guarantee: a time is run for at most once, whatever the clock does: only times after the mark count, and the mark is on
disk. Of the times that passed while the agent was away, or that a clock set forward left out, the newest is run for, once.
A schedule begins when it is declared. While nothing is due a tick is one comparison, and nothing is written.
Not chosen: a jitter. Two functions at 07:00 queue for workers as any two events do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from edge_agent.domain import event
from edge_agent.domain.function import FunctionSpec
from edge_agent.domain.invocation import Invocation
from edge_agent.domain.schedule import CronMark, following, newest, schedule_id

log = logging.getLogger(__name__)

DAY = 86_400_000
"""Milliseconds. A mark that lies further ahead than this comes from a clock that was wrong, and would silence its schedule
until then."""
NEVER = 2**63

Known = Callable[[str, str], bool]
"""(event id, function) -> whether the journal has such an invocation."""


class _Schedule(NamedTuple):
    function: str
    cron: str
    time_zone: str

    @property
    def id(self) -> str:
        return schedule_id(self.cron, self.time_zone)

    @property
    def key(self) -> tuple[str, str]:
        return self.function, self.id


class Crons:
    """For one thread (the pipeline's lock)."""

    def __init__(self, site: str, known: Known = lambda event_id, function: False) -> None:
        self._site = site
        self._known = known
        self._schedules: list[_Schedule] = []
        self._marks: dict[tuple[str, str], int] = {}
        self._due: dict[tuple[str, str], int] = {}
        self._next = NEVER
        self._earliest = -NEVER

    def restore(self, marks: Sequence[CronMark]) -> None:
        """What is on disk; before `replace`."""
        self._marks = {(mark.function, mark.schedule): mark.at for mark in marks}

    def replace(self, functions: Mapping[str, FunctionSpec], now: int) -> list[CronMark]:
        """From now on these functions; the marks that change: new schedules begin, gone ones are forgotten."""
        self._schedules = [
            _Schedule(name, cron, zone) for name, spec in functions.items() for cron, zone in dict.fromkeys(spec.crons)
        ]
        keys = {schedule.key for schedule in self._schedules}
        gone = [CronMark(*key, 0) for key in self._marks if key not in keys]
        new = [CronMark(*key, now) for key in sorted(keys) if key not in self._marks]
        self._marks = {key: at for key, at in self._marks.items() if key in keys} | {
            (mark.function, mark.schedule): mark.at for mark in new
        }
        self._due = {schedule.key: self._following(schedule) for schedule in self._schedules}
        self._look_ahead()
        return gone + new

    def tick(self, now: int) -> tuple[list[Invocation], list[CronMark]]:
        """What is due at `now`, epoch ms."""
        if self._earliest <= now < self._next:
            return [], []
        invocations: list[Invocation] = []
        marks: list[CronMark] = []
        for schedule in self._schedules:
            key = schedule.key
            mark = self._marks[key]
            if mark > now + DAY:
                log.warning("%s ran for a time far ahead: the clock was wrong then, it begins anew", schedule.function)
                marks.append(self._mark(schedule, now))
            elif self._due[key] <= now and (at := newest(schedule.cron, schedule.time_zone, mark, now)) is not None:
                invocations += self._invocation(schedule, at, mark, now)
                marks.append(self._mark(schedule, at))
        self._look_ahead()
        return invocations, marks

    def _invocation(self, schedule: _Schedule, at: int, mark: int, now: int) -> list[Invocation]:
        name = schedule.function
        event_id = f"cron/{name}/{schedule.id}/{event.rfc3339(at)[:19]}Z"
        if self._known(event_id, name):  # after a clock that had been far ahead
            return []
        data = {
            "cron": schedule.cron,
            "timeZone": schedule.time_zone,
            "scheduled": event.rfc3339(at),
            "since": event.rfc3339(mark),
        }
        body = event.of_cron(event_id, name, self._site, at, data)
        return [Invocation(event_id, name, body, now, f"cron:{schedule.cron}")]

    def _mark(self, schedule: _Schedule, at: int) -> CronMark:
        self._marks[schedule.key] = at
        self._due[schedule.key] = self._following(schedule)
        return CronMark(*schedule.key, at)

    def _following(self, schedule: _Schedule) -> int:
        found = following(schedule.cron, schedule.time_zone, self._marks[schedule.key])
        return NEVER if found is None else found

    def _look_ahead(self) -> None:
        self._next = min(self._due.values(), default=NEVER)
        self._earliest = max(self._marks.values(), default=-NEVER) - DAY
