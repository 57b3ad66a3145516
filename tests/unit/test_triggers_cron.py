"""Functions that run by the clock: each time once, whatever the clock does and however often the agent dies."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.adapters.journal_sqlite import SqliteJournal
from edge_agent.domain.function import FunctionSpec
from edge_agent.domain.schedule import CronMark, following, newest, schedule_id
from edge_agent.engine.crons import Crons
from edge_agent.ports import Entries
from tests.unit.test_pipeline import World

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
DUBLIN = "Europe/Dublin"


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def utc(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat()[:16]


def local(at: int, zone: str = DUBLIN) -> str:
    return datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).isoformat()[5:]


def functions(*crons: tuple[str, str], name: str = "report") -> dict[str, FunctionSpec]:
    return {name: FunctionSpec(name, crons=crons)}


class Clock:
    """An agent that lives by a clock we turn, on a disk that outlives it."""

    def __init__(self, *crons: tuple[str, str], now: str, known: set[str] | None = None) -> None:
        self.functions = functions(*crons)
        self.disk: dict[tuple[str, str], int] = {}
        self.ran: list[str] = []
        self.known = known or set()
        self.writes = 0
        self.now = ms(now)
        self.start()

    def start(self) -> None:
        self.crons = Crons("home", known=lambda event_id, function: event_id in self.known)
        self.crons.restore([CronMark(*key, at) for key, at in self.disk.items()])
        self.keep(self.crons.replace(self.functions, self.now))

    def keep(self, marks: list[CronMark]) -> None:
        self.writes += bool(marks)
        for mark in marks:
            self.disk[mark.function, mark.schedule] = mark.at
            if not mark.at:
                del self.disk[mark.function, mark.schedule]

    def tick(self, now: str | int) -> list[str]:
        """What runs now: the times it is for, UTC."""
        self.now = ms(now) if isinstance(now, str) else now
        invocations, marks = self.crons.tick(self.now)
        self.keep(marks)
        times = [json.loads(each.event)["time"][:16] for each in invocations]
        self.ran += [each.id for each in invocations]
        return times

    def until(self, end: str, step: int = 10 * SECOND) -> list[str]:
        """What runs while the time passes as it should."""
        found: list[str] = []
        while self.now < ms(end):
            found += self.tick(self.now + step)
        return found


def test_it_runs_at_its_times_and_says_when_and_since_when() -> None:
    clock = Clock(("*/5 * * * *", "UTC"), now="2026-11-23T10:01:00Z")
    assert clock.tick("2026-11-23T10:04:59Z") == []
    invocations, marks = clock.crons.tick(ms("2026-11-23T10:05:00.200Z"))
    (invocation,) = invocations
    event = json.loads(invocation.event)
    assert invocation.id == f"cron/report/{schedule_id('*/5 * * * *', 'UTC')}/2026-11-23T10:05:00Z" == event["id"]
    assert invocation.cause == "cron:*/5 * * * *"
    assert (event["type"], event["source"], event["subject"]) == ("internal.edge.cron", "/edge/home/cron", "report")
    assert event["data"] == {
        "cron": "*/5 * * * *", "timeZone": "UTC", "scheduled": "2026-11-23T10:05:00.000Z",
        "since": "2026-11-23T10:01:00.000Z",
    }  # fmt: skip
    assert [mark.at for mark in marks] == [ms("2026-11-23T10:05:00Z")]


def test_while_nothing_is_due_nothing_is_written() -> None:
    clock = Clock(("0 7 * * *", DUBLIN), now="2026-11-23T08:00:00Z")
    assert clock.writes == 1, "it begins when it is declared"
    assert clock.until("2026-11-24T06:59:00Z", MINUTE) == []
    clock.start()
    assert clock.writes == 1


def test_of_the_times_missed_while_the_agent_was_away_the_newest_runs_once() -> None:
    clock = Clock(("0 * * * *", "UTC"), now="2026-11-23T10:30:00Z")
    clock.now = ms("2026-11-25T17:20:00Z")
    clock.start()
    assert clock.tick(clock.now) == ["2026-11-25T17:00"]
    assert clock.until("2026-11-25T18:30:00Z") == ["2026-11-25T18:00"]


def test_a_schedule_that_is_new_has_missed_nothing_and_one_that_is_known_has() -> None:
    clock = Clock(("0 7 * * *", "UTC"), now="2026-11-23T22:00:00Z")
    clock.now = ms("2026-11-24T09:00:00Z")
    clock.start()
    assert clock.tick(clock.now) == ["2026-11-24T07:00"], "declared before, away at seven"
    clock.functions = functions(("0 8 * * *", "UTC"))
    clock.start()
    assert clock.tick(clock.now) == [], "eight o'clock was not its time yet"
    assert len(clock.disk) == 1, "what is gone is forgotten"


def test_a_clock_set_back_runs_no_time_twice_across_restarts_too() -> None:
    clock = Clock(("*/10 * * * *", "UTC"), now="2026-11-23T10:01:00Z")
    clock.until("2026-11-23T12:05:00Z", MINUTE)
    clock.now = ms("2026-11-23T10:00:00Z")
    assert clock.until("2026-11-23T11:00:00Z", MINUTE) == []
    clock.start()
    assert clock.until("2026-11-23T12:05:00Z", MINUTE) == []
    assert clock.until("2026-11-23T12:15:00Z", MINUTE) == ["2026-11-23T12:10"]
    assert len(clock.ran) == len(set(clock.ran))


def test_a_clock_set_forward_runs_what_it_left_out_once() -> None:
    clock = Clock(("*/10 * * * *", "UTC"), now="2026-11-23T10:01:00Z")
    assert clock.tick("2026-11-23T15:05:00Z") == ["2026-11-23T15:00"]
    assert clock.tick("2026-11-23T15:05:01Z") == []


def test_a_clock_that_was_years_ahead_does_not_silence_a_schedule_for_years_nor_run_again_what_ran(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock(("0 * * * *", "UTC"), now="2026-11-23T10:30:00Z")
    assert clock.tick("2026-11-23T11:00:00Z") == ["2026-11-23T11:00"]
    assert clock.tick("2099-01-01T00:00:30Z") == ["2099-01-01T00:00"]
    assert clock.tick("2026-11-23T10:59:00Z") == []
    assert "clock was wrong" in caplog.text
    clock.known = set(clock.ran)
    assert clock.until("2026-11-23T12:30:00Z", MINUTE) == ["2026-11-23T12:00"]


def test_in_spring_a_time_that_does_not_exist_comes_as_soon_as_there_is_one_again() -> None:
    clock = Clock(("30 1 * * *", DUBLIN), ("*/30 * * * *", DUBLIN), now="2026-03-28T23:00:00Z")
    found = [each[11:] for each in clock.until("2026-03-29T03:01:00Z", MINUTE)]
    assert found.count("01:00") == 2, "both at 02:00 summer time: half past one, and every half hour"
    assert sorted(found) == ["00:00", "00:30", "01:00", "01:00", "01:30", "02:00", "02:30", "03:00", "23:30"]


def test_in_autumn_a_time_that_comes_twice_runs_at_the_first_and_half_hours_run_on() -> None:
    clock = Clock(("30 1 * * *", DUBLIN), now="2026-10-24T23:00:00Z")
    assert clock.until("2026-10-25T04:00:00Z", MINUTE) == ["2026-10-25T00:30"]
    clock = Clock(("*/30 * * * *", DUBLIN), now="2026-10-24T23:45:00Z")
    assert [each[11:] for each in clock.until("2026-10-25T02:45:00Z", MINUTE)] == [
        "00:00", "00:30", "01:00", "01:30", "02:00", "02:30",
    ]  # fmt: skip


@pytest.mark.parametrize("begin", ["2026-10-25T00:10:00Z", "2026-10-25T00:45:00Z", "2026-10-25T01:10:00Z"])
def test_an_agent_that_starts_within_the_repeated_hour_runs_nothing_that_is_over(begin: str) -> None:
    clock = Clock(("30 1 * * *", DUBLIN), now=begin)
    expected = ["2026-10-25T00:30"] if begin < "2026-10-25T00:30" else []
    assert clock.until("2026-10-25T23:00:00Z", MINUTE) == expected


CRONS = st.sampled_from(
    [
        "*/7 * * * *",
        "30 1 * * *",
        "15 1,2 * * *",
        "0 */3 * * *",
        "5 0 * * 1-5",
        "0 12 1 * *",
        "45 23 * * SUN",
        "59 1 * 3,10 *",
    ]
)
ZONES = st.sampled_from(["UTC", DUBLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])
CHANGES = [
    ms("2026-03-29T01:00:00Z"),
    ms("2026-10-25T01:00:00Z"),
    ms("2026-03-08T07:00:00Z"),
    ms("2026-04-04T15:00:00Z"),
]


@given(
    CRONS, ZONES, st.sampled_from(CHANGES), st.integers(-2 * DAY, 2 * DAY), st.integers(0, 40 * DAY)
)  # fmt: skip
def test_the_newest_time_is_the_last_of_all_that_come(cron: str, zone: str, near: int, offset: int, span: int) -> None:
    since = near + offset
    until = since + span
    slow = None
    for each in CronSim(cron, datetime.fromtimestamp((since - 3 * HOUR) / 1000, ZoneInfo(zone))):
        at = int(each.timestamp()) * 1000
        if at > until:
            break
        slow = at if at > since else slow
    assert newest(cron, zone, since, until) == slow


@given(CRONS, ZONES, st.sampled_from(CHANGES), st.lists(st.integers(1, 5 * HOUR), min_size=1, max_size=60))
def test_however_time_is_cut_into_ticks_and_lives_each_time_comes_once_and_in_order(
    cron: str, zone: str, near: int, steps: list[int]
) -> None:
    clock = Clock((cron, zone), now="2026-01-01T00:00:00Z")
    clock.disk, clock.now = {}, near - DAY
    clock.start()
    for number, step in enumerate(steps):
        if number % 3 == 2:
            clock.start()
        clock.tick(clock.now + step)
    assert len(set(clock.ran)) == len(clock.ran)
    assert sorted(clock.ran) == clock.ran


def test_following_is_the_first_of_the_times_and_none_where_there_is_none() -> None:
    at = ms("2026-11-23T10:00:00Z")
    assert following("0 10 * * *", "UTC", at) == at + DAY
    assert utc(following("0 7 * * *", DUBLIN, ms("2026-07-01T00:00:00Z")) or 0) == "2026-07-01T06:00"
    assert following("0 0 30 2 0", "UTC", at) is not None, "the day of the month or the day of the week"
    assert local(following("0 7 * * *", DUBLIN, ms("2026-07-01T00:00:00Z")) or 0) == "07-01T07:00:00+01:00"


def test_the_marks_are_on_disk_in_the_commit_of_their_invocation(tmp_path: Path) -> None:
    world = World()
    world.pipeline.replace([], functions(("* * * * *", "UTC")))
    (begin,) = [entries for entries, _, _ in world.journal.commits if entries.crons]
    world.pipeline.tick(begin.crons[0].at + 2 * MINUTE, True)
    entries, urgent, _ = world.journal.commits[-1]
    assert urgent
    assert [each.function for each in entries.invocations] == ["report"]
    assert world.done == []
    commits = len(world.journal.commits)
    world.pipeline.tick(begin.crons[0].at + 2 * MINUTE + 1, True)
    assert len(world.journal.commits) == commits

    journal = SqliteJournal(tmp_path, lambda: begin.crons[0].at)
    journal.commit(begin)
    journal.commit(entries)
    assert journal.flush()
    assert journal.crons() == entries.crons
    journal.commit(Entries(crons=[CronMark("report", entries.crons[0].schedule, 0)]))
    assert journal.flush()
    assert journal.crons() == []
    journal.close()
