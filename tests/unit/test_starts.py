"""Whose worker is started next: the most urgent, in turn, nobody kept from his first for long, nothing forgotten."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.domain.function import MiB
from edge_agent.domain.vitals import Vitals
from edge_agent.engine.functions.governor import Governor, Limits, Want
from edge_agent.engine.functions.starts import PATIENCE, Starts
from edge_agent.engine.functions.stats import EngineStats

NEVER = float("inf")


class Alarm:
    def __init__(self, loop: Loop, call: Callable[[], None]) -> None:
        self.loop, self.call, self.when = loop, call, NEVER

    def no_later_than(self, when: float) -> None:
        assert when > self.loop.now, "the loop would ring it again and again"
        if when < self.when:
            self.when = when
            heapq.heappush(self.loop.alarms, (when, next(self.loop.numbers), self))


class Loop:
    """`engine.functions.loop.Loop` without thread or clock: time passes when there is nothing else to do."""

    def __init__(self) -> None:
        self.turns = 0
        self.now = 0.0
        self.alarms: list[tuple[float, int, Alarm]] = []
        self.numbers = itertools.count()
        self._posted: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()

    def alarm(self, call: Callable[[], None]) -> Alarm:
        return Alarm(self, call)

    def post(self, call: Callable[..., None], *args: Any) -> None:
        self._posted.append((call, args))

    def turn(self) -> bool:
        """One turn; False when nothing is left to happen."""
        self.turns += 1
        if not self._posted:
            while self.alarms and self.alarms[0][2].when != self.alarms[0][0]:
                heapq.heappop(self.alarms)
            if not self.alarms:
                return False
            when, _, alarm = heapq.heappop(self.alarms)
            self.now, alarm.when = max(self.now, when), NEVER
            alarm.call()
            return True
        for _ in range(len(self._posted)):
            call, args = self._posted.popleft()
            call(*args)
        return True


class House:
    """Functions that want workers: `events` of them for events, `spares` in advance; `started` tells who got one and when."""

    def __init__(self, limits: Limits | None = None, look: Callable[[], Vitals] = Vitals) -> None:
        self.loop = Loop()
        self.stats = EngineStats()
        self.events: dict[str, int] = {}
        self.spares: dict[str, int] = {}
        self.memory: dict[str, int] = {}
        self.started: list[tuple[str, float]] = []
        governor = Governor(limits, look)
        self.starts = Starts(self.loop, self.fill, governor, lambda: self.loop.now, self.stats)  # type: ignore[arg-type]

    def fill(self, name: str) -> None:
        """As `Staff.fill` does."""
        while (event := self.events.get(name, 0) > 0) or self.spares.get(name, 0) > 0:
            alone = not any(starter == name for starter, _ in self.started)
            memory = self.memory.get(name, MiB)
            if not self.starts.may(name, Want.of(memory, event=event, alone=alone)):
                return
            self.starts.begun(f"{name}-{len(self.started)}", memory)
            self.started.append((name, self.loop.now))
            (self.events if event else self.spares)[name] -= 1

    def ask(self, name: str, *, events: int = 0, spares: int = 0) -> None:
        self.events[name] = self.events.get(name, 0) + events
        self.spares[name] = self.spares.get(name, 0) + spares
        self.fill(name)

    def run(self, turns: int = 100_000) -> list[str]:
        for _ in range(turns):
            if not self.loop.turn():
                return [name for name, _ in self.started]
        raise AssertionError(f"it never comes to rest: {self.events}, {self.spares}")


def test_a_function_that_wants_fifty_does_not_keep_another_from_its_first() -> None:
    house = House(Limits(per_second=1.0, burst=1))
    house.ask("flood", events=50)
    for _ in range(4):
        house.loop.turn()
    house.ask("second", events=1)
    order = house.run()
    assert order.index("second") <= 3, order
    assert order.count("flood") == 50


def test_events_come_before_workers_in_advance_and_firsts_before_nexts() -> None:
    house = House(Limits(per_second=10.0, burst=1))
    house.starts.begun("somebody's", 0)  # the token is gone: all have to wait
    house.started += [("busy", 0.0), ("full", 0.0)]
    house.ask("full", spares=2)
    house.ask("empty", spares=2)
    house.ask("busy", events=2)
    house.ask("new", events=2)
    assert house.run()[2:] == ["new", "busy", "new", "busy", "empty", "full", "empty", "full"]


def test_equals_take_turns_in_the_order_they_came() -> None:
    house = House(Limits(per_second=10.0, burst=1))
    house.starts.begun("somebody's", 0)
    for name in "abc":
        house.ask(name, events=3)
    assert house.run() == list("abcabcabc")


def test_who_was_passed_over_often_enough_goes_first() -> None:
    """A flood of events for one function keeps another's spare worker for a while, not for ever."""
    house = House(Limits(per_second=10.0, burst=1))
    house.ask("flood", events=200)
    house.ask("calm", spares=3)
    places = [place for place, name in enumerate(house.run()) if name == "calm"]
    assert len(places) == 3
    assert max(later - earlier for earlier, later in itertools.pairwise([0, *places])) <= PATIENCE + 2


def test_a_large_worker_that_does_not_fit_keeps_no_small_one_from_starting() -> None:
    house = House(Limits(memory_reserve=10 * MiB), lambda: Vitals(memory_available=60 * MiB))
    house.memory = {"large": 512 * MiB, "small": 8 * MiB}
    house.ask("large", events=1)
    house.ask("small", events=2)
    for _ in range(20):
        house.loop.turn()
    assert [name for name, _ in house.started] == ["small", "small"]
    found = house.starts.delay("large")
    assert found is not None
    assert found[0].reason == "memory"
    assert house.starts.delay("small") is None
    assert dict(house.stats.starts_delayed) == {("large", "memory"): 1}, "counted once, however often it asked"


def test_who_needs_none_any_more_is_forgotten_and_the_machine_is_looked_at_no_more() -> None:
    looks = []

    def full() -> Vitals:
        looks.append(1)
        return Vitals(memory_available=0)

    house = House(Limits(memory_reserve=MiB), full)
    house.ask("pump", events=1)
    for _ in range(5):
        house.loop.turn()
    assert house.loop.now >= 2.0
    house.events["pump"] = 0
    house.run()
    assert house.starts.delay("pump") is None
    asked = len(looks)
    assert house.loop.turn() is False
    assert len(looks) == asked


def test_an_event_that_comes_while_a_spare_worker_waits_does_not_wait_with_it() -> None:
    house = House(Limits(per_second=1.0, burst=5))
    for number in range(4):
        house.starts.begun(str(number), 0)
    house.ask("pump", spares=1)
    assert house.starts.delay("pump") is not None
    house.ask("pump", events=1)
    house.loop.turn()
    assert house.started == [("pump", 0.0)]


@given(
    st.floats(1.0, 20.0),
    st.integers(1, 8),
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 6), st.integers(0, 4), st.integers(0, 5)), max_size=25),
)
def test_every_wanted_start_happens_once_in_turn_and_within_the_rate(
    rate: float, burst: int, steps: list[tuple[str, int, int, int]]
) -> None:
    house, wanted = House(Limits(per_second=rate, burst=burst)), dict.fromkeys("abcd", 0)
    for name, events, spares, turns in steps:
        house.ask(name, events=events, spares=spares)
        wanted[name] += events + spares
        for _ in range(turns):
            house.loop.turn()
    house.run()
    for name, count in wanted.items():
        assert sum(1 for starter, _ in house.started if starter == name) == count
        assert house.starts.delay(name) is None
    times = [at for _, at in house.started]
    for first, begin in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= burst + rate * (times[last] - begin) + 1e-3


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 6), st.integers(0, 4)), min_size=1, max_size=20),
    st.lists(st.integers(0, 400 * MiB), max_size=20),
)
def test_starts_that_had_to_wait_for_the_machine_all_happen_when_it_is_well(
    asked: list[tuple[str, int, int]], free: list[int]
) -> None:
    available = [0]
    house = House(Limits(memory_reserve=64 * MiB, hot=80.0), lambda: Vitals(available[0], 90.0 if free else 40.0))
    house.memory = {"a": MiB, "b": 20 * MiB, "c": 64 * MiB, "d": 128 * MiB}
    for name, events, spares in asked:
        house.ask(name, events=events, spares=spares)
    while free:
        available[0] = free.pop()
        for _ in range(3):
            house.loop.turn()
    available[0] = 2**40
    assert len(house.run()) == sum(events + spares for _, events, spares in asked)
