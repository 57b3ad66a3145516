"""In which hours more workers wait: through restarts, overlaps, changes of the clock, and to summer time and back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.domain.function import PoolSpec, ScheduleSpec
from edge_agent.domain.schedule import newest
from edge_agent.engine.functions.minimum import LOOK, Minimum
from edge_agent.engine.functions.schedule import NEVER, Calendar

HOUR = 3600.0
MORNING = ScheduleSpec("0 7 * * *", "Europe/Dublin", 4, 2 * HOUR)


def at(text: str) -> float:
    """Epoch seconds of an ISO time (UTC when it names no offset)."""
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def asked(calendar: Calendar, text: str) -> int:
    window, _ = calendar.look(at(text))
    return window.schedule.min_idle if window else 0


def test_from_each_time_on_for_so_long() -> None:
    calendar = Calendar([MORNING])
    assert asked(calendar, "2026-01-10T06:59:59.999") == 0
    assert asked(calendar, "2026-01-10T07:00:00") == 4
    assert asked(calendar, "2026-01-10T08:59:59.999") == 4
    assert asked(calendar, "2026-01-10T09:00:00") == 0
    assert asked(calendar, "2026-01-11T07:30:00") == 4


def test_it_says_until_when_and_when_to_look_again() -> None:
    calendar = Calendar([MORNING])
    window, again = calendar.look(at("2026-01-10T07:30"))
    assert window is not None
    assert window.ends == again == at("2026-01-10T09:00")
    assert calendar.look(again) == (None, at("2026-01-11T07:00"))
    assert Calendar([]).look(0.0) == (None, NEVER)


def test_who_restarts_in_the_middle_of_a_window_is_in_it() -> None:
    for minutes in (0, 1, 61, 119):
        now = at("2026-01-10T07:00") + minutes * 60
        window, _ = Calendar([MORNING]).look(now)
        assert window is not None
        assert window.ends == at("2026-01-10T09:00")


def test_of_overlapping_windows_the_largest_counts_and_of_equals_the_longest() -> None:
    calendar = Calendar(
        [
            ScheduleSpec("0 7 * * *", "UTC", 2, 4 * HOUR),
            ScheduleSpec("0 8 * * *", "UTC", 5, HOUR),
            ScheduleSpec("30 8 * * *", "UTC", 5, HOUR),
        ]
    )
    day = "2026-01-10T"
    assert [asked(calendar, day + hour) for hour in ("07:59", "08:00", "09:29", "09:30", "11:00")] == [2, 5, 5, 2, 0]
    window, again = calendar.look(at(day + "08:45"))
    assert window is not None
    assert window.ends == at(day + "09:30")
    assert again == at(day + "09:00")


def test_a_schedule_that_begins_again_before_it_ends_is_on_all_the_time() -> None:
    calendar = Calendar([ScheduleSpec("*/10 * * * *", "UTC", 1, HOUR)])
    now = at("2026-01-10T00:00")
    for minute in range(0, 24 * 60, 7):
        window, _ = calendar.look(now + minute * 60)
        assert window is not None
        assert window.ends == now + (minute // 10) * 600 + HOUR


def test_the_clock_leaping_over_a_time_begins_its_window_after_the_leap() -> None:
    """29 March 2026, 01:00 UTC: in Dublin 01:00 is followed by 02:00, so 01:30 is not on the clock."""
    calendar = Calendar([ScheduleSpec("30 1 * * *", "Europe/Dublin", 3, HOUR)])
    assert asked(calendar, "2026-03-29T00:59:59") == 0
    assert asked(calendar, "2026-03-29T01:00:00") == 3
    assert asked(calendar, "2026-03-29T01:59:59") == 3
    assert asked(calendar, "2026-03-29T02:00:00") == 0
    assert asked(calendar, "2026-03-30T00:30:00") == 3  # from now on an hour earlier


def test_a_time_that_the_clock_shows_twice_begins_one_window() -> None:
    """25 October 2026, 01:00 UTC: in Dublin 01:59 is followed by 01:00 once more."""
    spec = ScheduleSpec("30 1 * * *", "Europe/Dublin", 3, 0.25 * HOUR)
    for calendar in (Calendar([spec]), None):
        look = [
            asked(calendar or Calendar([spec]), f"2026-10-25T{time}")
            for time in ("00:29", "00:30", "00:44", "00:46", "01:29", "01:30", "01:44", "02:30")
        ]
        assert look == [0, 3, 3, 0, 0, 0, 0, 0]


def test_a_window_lasts_real_hours_through_either_change() -> None:
    for day, begins in (("2026-03-29", "00:30"), ("2026-10-25", "00:30")):  # 00:30 and 01:30 on the clocks of Dublin
        local = ScheduleSpec("30 0,1 * * *", "Europe/Dublin", 3, 3 * HOUR)
        window, _ = Calendar([local]).look(at(f"{day}T{begins}"))
        assert window is not None
        assert window.ends == at(f"{day}T{begins}") + 3 * HOUR


@pytest.mark.parametrize("zone", ["Europe/Dublin", "America/New_York", "Australia/Lord_Howe", "UTC"])
@pytest.mark.parametrize("cron", ["30 1 * * *", "*/15 * * * *", "0 0 * * SUN", "59 23 31 12 *"])
def test_whether_one_asks_all_year_or_for_the_first_time_the_answer_is_the_same(zone: str, cron: str) -> None:
    spec = ScheduleSpec(cron, zone, 1, 0.4 * HOUR)
    asked_before = Calendar([spec])
    for day in ("2026-03-08", "2026-03-28", "2026-04-04", "2026-10-03", "2026-10-25", "2026-11-01", "2026-12-31"):
        now = at(day + "T00:00")
        for _ in range(40):
            assert asked_before.look(now)[0] == Calendar([spec]).look(now)[0]
            now += 2999.0


@given(st.lists(st.floats(-30 * HOUR, 30 * HOUR), max_size=20))
def test_a_clock_set_back_or_forward_is_in_the_hours_of_its_new_time(jumps: list[float]) -> None:
    schedules = [MORNING, ScheduleSpec("*/20 * * * *", "America/New_York", 2, 600.0)]
    calendar, now = Calendar(schedules), at("2026-03-28T12:00")
    for jump in jumps:
        now += jump
        window, again = calendar.look(now)
        assert window == Calendar(schedules).look(now)[0]
        assert again > now


def test_a_clock_set_back_an_hour_ends_a_window_early_and_begins_it_again() -> None:
    minimum = Minimum(PoolSpec(1, 8, schedule=(MORNING,)))
    assert minimum.look(at("2026-01-10T07:30")) <= LOOK
    assert minimum.now == 4
    minimum.look(at("2026-01-10T06:30"))
    assert minimum.now == 1
    minimum.look(at("2026-01-10T07:30"))
    assert minimum.now == 4


def test_the_clock_is_looked_at_every_minute_for_somebody_may_have_set_it() -> None:
    minimum = Minimum(PoolSpec(schedule=(MORNING,)))
    assert minimum.look(at("2026-01-10T03:00")) == LOOK
    assert minimum.look(at("2026-01-10T06:59:50")) == pytest.approx(10.0)
    assert Minimum(PoolSpec()).look(0.0) == NEVER


def test_a_time_that_never_comes_asks_for_nothing() -> None:
    calendar = Calendar([ScheduleSpec("0 0 29 2 *", "UTC", 3, HOUR)])
    assert asked(calendar, "2026-01-10T00:00") == 0
    assert asked(calendar, "2028-02-29T00:30") == 3


def test_what_the_operator_says_holds_over_manifest_schedule_and_new_versions() -> None:
    minimum = Minimum(PoolSpec(1, 8, schedule=(MORNING,)))
    minimum.look(at("2026-01-10T07:30"))
    minimum.override = 0
    assert minimum.now == 0
    minimum.replace(PoolSpec(5, 8))
    minimum.look(at("2026-01-10T07:30"))
    assert minimum.now == 0
    minimum.override = None
    assert minimum.now == 5


def test_every_minute_for_a_day_costs_no_search_through_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = []

    def noted(cron: str, zone: str, since: int, until: int) -> int | None:
        spans.append(until - since)
        return newest(cron, zone, since, until)

    monkeypatch.setattr("edge_agent.engine.functions.schedule.newest", noted)
    calendar, now = Calendar([ScheduleSpec("* * * * *", "Europe/Dublin", 1, 24 * HOUR)]), at("2026-01-10T00:00")
    for _ in range(60):
        now += 60.0
        assert calendar.look(now)[0] is not None
    assert set(spans) == {60_000}
