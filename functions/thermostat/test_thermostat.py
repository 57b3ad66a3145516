"""The decision and the schedule, held against slow models and courses nobody would think of; and the settings."""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

GOOD = {
    "THERMOSTAT_SENSOR": "hall/temperature",
    "THERMOSTAT_ACTUATOR": "boiler/heater",
    "THERMOSTAT_WINDOWS": "hall-door/open, hall/window",
    "THERMOSTAT_SCHEDULE": "06:30=21; 22:00=17",
}
os.environ.update(GOOD)

from climate import DAYS, Entry, Memory, Plan, decide, schedule, target
from thermostat import Misconfigured, Permanent, Settings, learn

HEAT = Plan(cooling=False, hysteresis=0.5, least_on=300, least_off=300, lease=900, frost=6)
COOL = Plan(cooling=True, hysteresis=0.5, least_on=300, least_off=300, lease=900, frost=6)
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)


def at(day: str, time: str) -> datetime:
    hour, minute = time.split(":")
    return MONDAY + timedelta(days=DAYS.index(day), hours=int(hour), minutes=int(minute))


@pytest.mark.parametrize(
    ("day", "time", "degrees"),
    [
        ("mon", "06:29", 16),  # Sunday's last
        ("mon", "06:30", 21),
        ("fri", "21:59", 21),
        ("fri", "22:00", 17),
        ("sat", "07:59", 17),
        ("sat", "08:00", 20),
        ("sun", "23:30", 16),
    ],
)
def test_the_set_point_is_the_one_that_began_last(day, time, degrees):
    text = "mon-fri 06:30=21; mon-fri 22:00=17\nsat,sun 08:00=20; sun 23:00=16"
    assert target(schedule(text), at(day, time)) == degrees


def test_days_may_go_over_the_end_of_the_week():
    (entry,) = schedule("sat-mon 08:00=20.5")
    assert entry == Entry(frozenset({5, 6, 0}), 480, 20.5)


@pytest.mark.parametrize(
    "text", ["", "06:30", "25:00=20", "06:60=20", "someday 06:30=20", "mon- 06:30 = 20", "06:30=warm"]
)
def test_a_schedule_that_cannot_be_read_is_quoted(text):
    with pytest.raises(ValueError, match=r"write|days are"):
        schedule(text)


entries = st.lists(
    st.builds(Entry, st.frozensets(st.integers(0, 6), min_size=1), st.integers(0, 1439), st.integers(5, 30).map(float)),
    min_size=1,
    max_size=6,
    unique_by=lambda entry: entry.minute,
)


@given(entries, st.integers(0, 7 * 1440 - 1))
def test_the_set_point_agrees_with_walking_through_two_weeks(plan, minute):
    slow = None
    for passed in range(7 * 1440 + minute + 1):
        for entry in plan:
            if (passed // 1440) % 7 in entry.days and passed % 1440 == entry.minute:
                slow = entry.target
    assert target(plan, MONDAY + timedelta(minutes=minute)) == slow


def warm(
    temperature: float, *, on: bool = False, since: float = -1e6, until: float = 0.0, opened: tuple = ()
) -> Memory:
    return Memory(on, since, until, temperature, opened)


def test_it_heats_below_and_stops_above_and_keeps_on_between():
    assert decide(HEAT, 20, warm(19.6), 0).run is None
    start = decide(HEAT, 20, warm(19.5), 0)
    assert (start.memory.on, start.run) == (True, 900)
    assert decide(HEAT, 20, warm(20.4, on=True, until=900), 10).memory.on
    assert decide(HEAT, 20, warm(20.5, on=True, until=900), 10).run == 0


def test_it_cools_the_other_way_round():
    assert decide(COOL, 24, warm(24.5), 0).memory.on
    assert decide(COOL, 24, warm(23.6, on=True, until=900), 10).memory.on
    assert decide(COOL, 24, warm(23.5, on=True, until=900), 10).run == 0


def test_an_open_window_stops_it_before_its_least_time_and_frost_starts_it_again():
    running = warm(15, on=True, since=0, until=900, opened=("hall-door/open",))
    assert decide(HEAT, 20, running, 1).run == 0
    assert decide(HEAT, 20, warm(5.4, opened=("hall-door/open",)), 0).run == 900
    assert decide(HEAT, 20, warm(6.0, opened=("hall-door/open",)), 0).run is None


def test_heating_is_prolonged_before_it_ends_and_not_with_each_reading():
    assert decide(HEAT, 20, warm(18, on=True, since=0, until=900), 449).run is None
    late = decide(HEAT, 20, warm(18, on=True, since=0, until=900), 451)
    assert (late.run, late.memory.until, late.memory.since) == (900, 1351, 0)


def test_after_a_silence_it_knows_that_the_heater_has_stopped_by_itself():
    back = decide(HEAT, 20, warm(18, on=True, since=0, until=900), 1000)
    assert (back.memory.on, back.memory.since, back.run) == (False, 900, None)
    assert decide(HEAT, 20, back.memory, 1200).run == 900


@pytest.mark.parametrize("memory", [None, Memory(True, 5000, 9000, 10)])
def test_a_cold_start_is_off_for_its_least_time(memory):
    first = decide(HEAT, 20, memory, 100)
    assert (first.memory.on, first.memory.since, first.run) == (False, 100, 0)


events = st.lists(
    st.tuples(st.integers(1, 1200), st.floats(-10, 40), st.booleans(), st.integers(5, 25)), min_size=1, max_size=80
)


@settings(max_examples=150)
@given(events, st.booleans())
def test_whatever_is_measured_the_least_times_hold_and_it_never_works_against_the_room(course, cooling):
    plan = COOL if cooling else HEAT
    now, memory, changes = 0.0, None, []
    for pause, temperature, opened, set_point in course:
        now += pause
        known = Memory(False, now + 1, 0, None) if memory is None else memory
        known = Memory(known.on, known.since, known.until, temperature, ("w/o",) if opened else (), None)
        before, decision = known, decide(plan, set_point, known, now)
        memory = decision.memory
        expired = before.on and before.until <= now
        if expired:
            changes.append((before.until, False, "lease"))
        if memory.on != (before.on and not expired):
            changes.append((now, memory.on, "window" if opened else "room"))
            assert decision.run == (plan.lease if memory.on else 0)
            if memory.on:  # only when it is really called for
                point = plan.frost if opened and not cooling else set_point
                assert (temperature >= point + 0.5) if cooling else (temperature <= point - 0.5)
                assert not (opened and cooling)
        if memory.on:
            assert now < memory.until <= now + plan.lease
            assert not (opened and cooling)
            assert not (opened and not cooling and temperature >= plan.frost)
    for (start, _, _), (end, on, why) in itertools.pairwise(changes):
        if on:
            assert end - start >= plan.least_off
        elif why == "room":
            assert end - start >= plan.least_on


@settings(max_examples=15, deadline=None)
@given(st.integers(15, 25), st.floats(-5, 12), st.integers(20, 120))
def test_a_room_comes_to_its_set_point_and_stays_there(set_point, outside, every):
    room, memory, now, course = outside, None, 0.0, []
    for _ in range(int(12 * 3600 / every)):
        known = memory or Memory(False, now + 1, 0, None)
        decision = decide(HEAT, set_point, Memory(known.on, known.since, known.until, room), now)
        memory = decision.memory
        heat = 0.006 if memory.on else 0.0
        room += every * (heat - (room - outside) * 0.00006)
        now += every
        course.append(room)
    settled = course[len(course) // 2 :]
    swing = 300 * 0.006 + every * 0.006  # what the least times and the pause between readings add
    assert set_point - 0.5 - swing <= min(settled)
    assert max(settled) <= set_point + 0.5 + swing


def test_memory_survives_the_broker():
    memory = Memory(True, 1.0, 2.0, 19.5, ("hall-door/open",), 21.0)
    document = memory.document() | {"open": list(memory.open)}
    assert Memory.read(document) == memory
    for wrong in ({}, document | {"since": "x"}, document | {"open": None}):
        assert Memory.read(wrong) is None


def test_it_learns_from_any_message_that_names_its_sensors():
    plan, memory = Settings.read(GOOD), warm(20)
    both = {
        "data": {
            "device": "hall",
            "reading": "temperature",
            "value": 19,
            "readings": {"temperature": 19, "window": True},
        }
    }
    assert learn(both, memory, plan).temperature == 19
    opened = learn(both, memory, plan)
    assert opened.open == ("hall/window",)
    door = {"data": {"device": "hall-door", "reading": "open", "value": True}}
    assert learn(door, opened, plan).open == ("hall-door/open", "hall/window")
    shut = {"data": {"device": "hall-door", "reading": "open", "value": False}}
    assert learn(shut, learn(door, opened, plan), plan).open == ("hall/window",)
    with pytest.raises(Permanent, match="cellar/temperature is neither THERMOSTAT_SENSOR nor"):
        learn({"data": {"device": "cellar", "reading": "temperature", "value": 9}}, memory, plan)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"THERMOSTAT_SENSOR": ""}, "THERMOSTAT_SENSOR does not say the thermometer: write device/name"),
        ({"THERMOSTAT_ACTUATOR": "heater"}, "THERMOSTAT_ACTUATOR does not say what heats or cools"),
        ({"THERMOSTAT_WINDOWS": "door"}, "THERMOSTAT_WINDOWS has door: write device/reading"),
        ({"THERMOSTAT_MODE": "both"}, "THERMOSTAT_MODE is both: write heat or cool"),
        ({"THERMOSTAT_HYSTERESIS": "0"}, "THERMOSTAT_HYSTERESIS is not above 0"),
        ({"THERMOSTAT_LEASE": "15"}, "THERMOSTAT_LEASE is 15: write for example 15m"),
        ({"THERMOSTAT_SCHEDULE": ""}, "THERMOSTAT_SCHEDULE: it is empty: write for example"),
        ({"THERMOSTAT_TIME_ZONE": "Dublin"}, "THERMOSTAT_TIME_ZONE is Dublin: write a name as in Europe/Dublin"),
    ],
)
def test_a_wrong_setting_says_what_to_write(change, said):
    with pytest.raises(Misconfigured) as caught:
        Settings.read(GOOD | change)
    assert said in str(caught.value)
