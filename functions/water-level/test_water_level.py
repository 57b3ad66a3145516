"""The decision, held against a tank, a pump and a network that do their worst; and the settings."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

os.environ["EDGE_SECRETS"] = "/nowhere"

from filling import Decision, Memory, Plan, decide, reset
from water_level import Misconfigured, Settings, order, reading, too_old

TIGHT = Plan(low=20, high=80, longest=45, rise=1, within=30, rest=25, lease=20, delay=5)
"""Runs that end by time rather than by level, rests that are as short as they may be."""
PLAN = Plan(low=20, high=80, longest=120, rise=1, within=30, rest=60, lease=20, delay=5)


def test_below_low_it_runs_and_at_high_it_rests():
    memory = Memory("idle", 0, 50, 0)
    start = decide(PLAN, memory, 19.9, 100)
    assert (start.memory.phase, start.run) == ("filling", PLAN.lease)
    assert decide(PLAN, start.memory, 50, 110).run == PLAN.lease
    full = decide(PLAN, start.memory, 80, 115)
    assert (full.memory.phase, full.run, full.memory.reason) == ("resting", 0, "80 after 15 s")


def test_between_the_levels_it_does_what_it_did():
    assert decide(PLAN, Memory("idle", 0, 50, 0), 20, 100).run is None
    assert decide(PLAN, Memory("filling", 90, 40, 95), 50, 100).run == PLAN.lease


def test_it_rests_before_it_starts_again():
    resting = Memory("resting", 100, 10, 100)
    assert decide(PLAN, resting, 10, 159) == Decision(resting)
    assert decide(PLAN, resting, 10, 160).memory.phase == "filling"


def test_a_level_that_does_not_rise_is_a_fault_until_a_person_resets_it():
    running = Memory("filling", 0, 10, 0)
    assert decide(PLAN, running, 10.9, 29).run == PLAN.lease
    dry = decide(PLAN, running, 10.9, 30)
    assert (dry.memory.phase, dry.run) == ("fault", 0)
    assert "no water, a dead pump, or a stuck sensor" in dry.memory.reason
    assert decide(PLAN, dry.memory, 5, 1e6).run is None
    again = reset(5, 1e6)
    assert decide(PLAN, again.memory, 5, 1e6 + PLAN.rest).memory.phase == "filling"


def test_the_last_lease_ends_before_the_longest_time():
    running = Memory("filling", 0, 40, 99)
    assert decide(PLAN, running, 42, 100).run == 15
    over = decide(PLAN, running, 42, 115)
    assert (over.memory.phase, over.run) == ("fault", 0)
    assert over.memory.reason == "the pump ran its longest time of 120 s and the level is only 42"


def test_a_refusal_is_a_fault_with_the_boards_words():
    running = Memory("filling", 0, 10, 0)
    assert decide(PLAN, running, 10, 1, refusal="too hot").memory.reason == "the pump refuses: too hot"


@pytest.mark.parametrize("memory", [None, Memory("filling", 1000, 10, 1000)])
def test_who_does_not_know_what_was_stops_and_rests(memory):
    """Nothing is remembered; or it lies in the future, for the clock was set back."""
    first = decide(PLAN, memory, 10, 100)
    assert (first.memory.phase, first.run) == ("resting", 0)


def test_memory_survives_the_broker():
    memory = Memory("filling", 1.5, 2.5, 3.5, "why", "tank-1/b/1/r")
    assert Memory.read(memory.document()) == memory
    for wrong in ({}, {"phase": "idle"}, memory.document() | {"since": None}, memory.document() | {"level": "x"}):
        assert Memory.read(wrong) is None


@dataclass
class World:
    """A tank whose board keeps to its contract, and a network that does not keep to anything but its expiry."""

    level: float = 50.0
    until: float = 0.0
    memory: Memory | None = None
    wire: list[tuple[float, float]] = field(default_factory=list)
    runs: list[tuple[float, float]] = field(default_factory=list)
    """(arrival, run) of commands on their way; (start, end) of each time the pump ran on end."""

    def step(self, now: float, flow: float) -> None:
        """A second passes."""
        for arrival, run in [one for one in self.wire if one[0] <= now]:
            self.wire.remove((arrival, run))
            self.until = now + run
        if self.until > now:
            start, end = self.runs[-1] if self.runs else (-9.0, -9.0)
            on = min(1.0, self.until - now)
            if end == now:
                self.runs[-1] = (start, now + on)
            else:
                self.runs.append((now, now + on))
            self.level += flow * on
        self.level -= 0.3

    @property
    def longest(self) -> float:
        return max((end - start for start, end in self.runs), default=0.0)


happenings = st.sampled_from(
    ["good"] * 6 + ["lost", "late", "silent", "forgotten", "blackout", "stuck", "dead", "unremembered", "reset"]
)


@settings(max_examples=150, deadline=None)
@given(
    course=st.lists(happenings, min_size=20, max_size=80),
    every=st.integers(1, 12),
    flow=st.sampled_from([0.4, 1.5]),
    delay=st.integers(1, TIGHT.delay),
)
@example(course=["good"] * 120, every=5, flow=0.4, delay=5)
@example(course=["stuck"] * 25 + ["blackout"] + ["stuck"] * 40, every=2, flow=0.4, delay=1)
@example(course=["stuck"] * 25 + ["reset", "lost"] + ["stuck"] * 40, every=2, flow=0.4, delay=1)
@example(course=["good", "late"] * 60, every=3, flow=0.4, delay=5)
def test_whatever_happens_the_pump_never_runs_longer_than_its_longest(course, every, flow, delay):
    """`lost`: the command; `late`: the command; `silent`: no reading; `forgotten`: the broker's memory is gone; `blackout`: and
    the command too; `unremembered`: the function died before it could write; `dead`: the pump; `stuck`: the sensor."""
    world, now = World(level=15.0), 0.0
    for what in course:
        said = 10.0 if what == "stuck" else world.level
        if what in ("forgotten", "blackout"):
            world.memory = None
        if what != "silent":
            decision = reset(said, now) if what == "reset" else decide(TIGHT, world.memory, said, now)
            if what != "unremembered":  # memory is written first: without it there is no command
                world.memory = decision.memory
                if decision.run is not None and what not in ("lost", "blackout"):
                    earliest = max([arrival for arrival, _ in world.wire], default=0.0)  # in order, as MQTT has it
                    world.wire.append((max(earliest, now + (delay if what == "late" else 0)), decision.run))
        for _ in range(every):
            world.step(now, 0.0 if what == "dead" else flow)
            now += 1.0
    for _ in range(int(TIGHT.longest) + int(TIGHT.delay)):
        world.step(now, flow)
        now += 1.0
    assert world.longest <= TIGHT.longest
    assert world.until <= now, "it still runs although nobody has said so for long"


def test_a_tank_in_order_stays_between_its_levels_and_really_cycles():
    world, now = World(), 0.0
    levels = []
    for _ in range(2000):
        decision = decide(PLAN, world.memory, world.level, now)
        world.memory = decision.memory
        if decision.run is not None:
            world.wire.append((now, decision.run))
        for _ in range(3):
            world.step(now, 1.5)
            now += 1.0
        levels.append(world.level)
    assert world.memory.phase != "fault"
    assert len(world.runs) > 10
    assert min(levels) > PLAN.low - 0.3 * (3 + 1)
    assert max(levels) < PLAN.high + 1.5 * (3 + 1)


def faults(**changes):
    with pytest.raises(Misconfigured) as caught:
        Settings.read(changes)
    return str(caught.value)


def test_the_defaults_are_a_plan():
    plan = Settings.read({}).plan
    assert (plan.low, plan.high, plan.longest, plan.lease) == (20, 80, 600, 30)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"WATER_LOW": "90"}, "WATER_LOW is not below WATER_HIGH: write for example 20 and 80"),
        ({"WATER_LOW": "20%"}, "WATER_LOW is 20%: write for example 20"),
        ({"WATER_REST": "10s"}, "WATER_REST is shorter than WATER_LEASE and WATER_DELAY: write 35s or more"),
        ({"WATER_LONGEST": "600"}, "WATER_LONGEST is 600: write for example 10m"),
        ({"WATER_RISE": "0"}, "WATER_RISE is not above 0"),
        ({"WATER_PUMP": "pump"}, "WATER_PUMP is pump: write device/actuator"),
        ({"MQTT_PORT": "mqtt"}, "MQTT_PORT is mqtt: write a number"),
        ({"MQTT_USER": "ann"}, "there is no /nowhere/mqtt/password: add secrets: [mqtt]"),
        ({"MQTT_CA_FILE": "/no.pem"}, "MQTT_CA_FILE is /no.pem, which is no file"),
    ],
)
def test_a_wrong_setting_says_what_to_write(change, said):
    assert said in faults(**{"EDGE_SECRETS": "/nowhere"} | change)


@pytest.mark.parametrize("value", [True, "full", None, float("nan")])
def test_a_level_that_is_no_number_is_refused(value):
    with pytest.raises(Exception, match="which is no number"):
        reading({"data": {"device": "tank-1", "value": value}})


def test_what_was_measured_long_ago_moves_nothing():
    event = {"time": "2026-11-23T10:00:00Z"}
    assert not too_old(event, 1795428000.0 + 20, 30)
    assert too_old(event, 1795428000.0 + 31, 30)
    assert not too_old({}, 1795428000.0, 30)


def test_an_order_that_comes_too_late_is_a_stop():
    assert order({"id": "a"}, 0.0)["value"] is False
