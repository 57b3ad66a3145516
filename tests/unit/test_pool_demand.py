"""Windows and what they ask for: averages, panic, workers held through a steady load and let go after it."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from edge_agent.domain.function import FunctionSpec, PoolSpec
from edge_agent.engine.functions.aim import Aim
from edge_agent.engine.functions.demand import TICK, Demand
from edge_agent.engine.functions.pool import Census
from edge_agent.engine.functions.windows import PANIC, STABLE, Windows

CHANGES = st.lists(st.tuples(st.floats(0.0, 40.0), st.integers(0, 5), st.integers(0, 50)), max_size=200)


@given(CHANGES, st.floats(0.0, 100.0))
def test_an_average_lies_between_the_least_and_the_most_and_few_marks_are_kept(changes, after) -> None:  # type: ignore[no-untyped-def]
    windows, now, seen = Windows(100.0), 100.0, [0]
    for pause, busy, queued in changes:
        now += pause
        windows.note(now, busy, queued)
        seen.append(busy + queued)
    now += after
    for window in (STABLE, PANIC):
        load = windows.load(now, window)
        assert min(seen) - 1e-6 <= load.busy <= load.concurrency + 1e-6
        assert load.concurrency <= max(seen) + 1e-6
    assert len(windows._marks) <= 2 * STABLE + 3


@given(CHANGES)
def test_an_average_over_a_whole_life_is_exact(changes) -> None:  # type: ignore[no-untyped-def]
    windows, now, area, current = Windows(0.0), 0.0, 0.0, 0
    for pause, busy, queued in changes:
        if now + pause >= STABLE:
            break
        now += pause
        area += current * pause
        windows.note(now, busy, queued)
        current = busy + queued
    if now:
        assert windows.load(now, STABLE).concurrency == pytest.approx(area / now)


def test_a_window_sees_what_is_in_it_and_forgets_the_rest() -> None:
    windows = Windows(0.0)
    windows.note(100.0, 2, 4)
    windows.note(103.0, 0, 0)
    assert windows.load(103.0, PANIC) == (pytest.approx(3.0), pytest.approx(1.0), 0.0)
    assert windows.load(103.0, STABLE).concurrency == pytest.approx(0.3)
    assert windows.load(106.0, PANIC).concurrency == pytest.approx(3.0)
    assert windows.load(107.5, PANIC).concurrency == pytest.approx(1.5 * 6 / 6)
    assert windows.load(110.0, PANIC).concurrency == 0.0
    assert windows.load(163.0, STABLE).concurrency == 0.0


def test_one_event_is_no_rate() -> None:
    windows = Windows(0.0)
    windows.given()
    windows.note(200.0, 1, 0)
    assert windows.load(200.0, PANIC).rate == 0.0
    for at in (202.0, 204.0):
        windows.given()
        windows.note(at, 1, 0)
    assert windows.load(204.0, PANIC).rate == pytest.approx(2 / 6)


def decided(demand: Demand, begin: float, end: float, ready: int) -> Demand:
    """Decide every tick from `begin` to `end`."""
    while begin < end:
        demand.decide(begin, ready, start=0.3)
        begin += TICK
    return demand


def test_a_queue_of_slow_events_asks_for_a_worker_each_and_is_panic() -> None:
    demand = Demand(100.0)
    demand.windows.note(100.0, 1, 0)
    assert not decided(demand, 101.0, 106.0, ready=1).panic
    assert demand.desired == 1
    demand.windows.note(106.0, 4, 2)
    decided(demand, 108.0, 113.0, ready=1)
    assert demand.panic
    assert demand.desired >= 4


def test_a_deep_queue_of_quick_events_asks_for_as_many_as_are_kept_busy() -> None:
    """One worker always busy, a hundred events behind it: a second one, not a hundred."""
    demand = Demand(0.0)
    demand.windows.note(0.0, 1, 100)
    assert decided(demand, 1.0, 60.0, ready=1).desired == 2


def test_one_event_at_a_time_never_asks_for_a_second_worker() -> None:
    demand = Demand(0.0)
    demand.windows.note(0.0, 1, 0)
    assert decided(demand, 1.0, 200.0, ready=1).desired == 1
    assert not demand.panic


@given(CHANGES, st.integers(0, 5))
def test_in_panic_what_is_asked_for_never_falls(changes, ready) -> None:  # type: ignore[no-untyped-def]
    demand, now, last = Demand(0.0), 0.0, 0
    for pause, busy, queued in changes:
        now += pause
        demand.windows.note(now, busy, queued)
        was = demand.panic
        demand.decide(now, ready, 0.3)
        if was and demand.panic:
            assert demand.desired >= last
        last = demand.desired


@given(CHANGES)
def test_a_minute_after_the_last_event_and_the_last_panic_nothing_is_asked_for(changes) -> None:  # type: ignore[no-untyped-def]
    demand, now = Demand(0.0), 0.0
    for pause, busy, queued in changes:
        now += pause
        demand.windows.given()
        demand.windows.note(now, busy, queued)
        demand.decide(now, 1, 0.3)
    now += 1.0
    demand.windows.note(now, 0, 0)
    again: float | None = now
    while again is not None:
        assert now <= again <= now + PANIC + 2 * STABLE + 3 * TICK, "the windows never come to rest"
        again = demand.decide(again, 1, 0.3)
    assert (demand.desired, demand.ahead, demand.panic) == (0, 0, False)
    assert (demand.stable.concurrency, demand.panicking.concurrency) == (0.0, 0.0)


def test_one_rare_event_makes_nobody_wait_for_the_next() -> None:
    demand = Demand(0.0)
    demand.windows.given()
    demand.windows.note(100.0, 1, 0)
    demand.decide(100.0, 1, start=2.0)
    assert demand.ahead == 0


@pytest.mark.parametrize(
    ("every", "start", "least", "most"), [(0.1, 0.3, 4, 6), (1.0, 0.3, 1, 1), (5.0, 2.0, 1, 2), (30.0, 0.02, 0, 0)]
)
def test_so_many_wait_as_events_come_while_one_starts(every: float, start: float, least: int, most: int) -> None:
    demand, now = Demand(0.0), 0.0
    while now < 120.0:
        now += every
        demand.windows.given()
        demand.windows.note(now, 1, 0)
        demand.windows.note(now + 0.01, 0, 0)
    demand.decide(now + 0.01, 1, start)
    assert least <= demand.ahead <= most
    demand.decide(now + 30.0, 1, start)
    faded = demand.ahead
    demand.decide(now + STABLE + 1, 1, start)
    assert faded <= most
    assert demand.ahead == 0


class Model:
    """A pool in slow motion: the arithmetic decides, events and starts take the time they take. Counts what happens."""

    def __init__(self, spec: FunctionSpec, start: float, service: float) -> None:
        self.aim = Aim(spec, 0.0)
        self.aim.look(0.0)
        self.start, self.service = start, service
        self.coming: list[float] = []
        self.busy: list[float] = []
        self.idle: list[float] = []
        self.queued = 0
        self.starts: list[float] = []
        self.ends: list[float] = []
        self.most = 0
        self.on_wait: Callable[[float], object] = lambda at: None

    def census(self, now: float) -> Census:
        late = sum(1 for end in self.busy if now >= end - self.service + self.aim.pace.noticeable_start)
        keeps = self.aim.spec.isolation != "pod"
        return Census(len(self.coming), len(self.idle), len(self.busy), late=late if keeps else 0)

    def step(self, now: float) -> None:
        """Everything that is due by `now`."""
        while self.coming and self.coming[0] <= now:
            self.idle.append(heapq.heappop(self.coming))
            self.aim.pace.started(self.start)
        while self.busy and self.busy[0] <= now:
            end = heapq.heappop(self.busy)
            self.aim.pace.served(self.service)
            if self.aim.spec.isolation != "pod":
                self.idle.append(end)
        while self.queued and self.idle:
            self.idle.pop()
            self.queued -= 1
            self.aim.windows.given()
            heapq.heappush(self.busy, now + self.service)
        self.aim.windows.note(now, len(self.busy), self.queued)
        census = self.census(now)
        self.aim.decide(now, census.ready)
        for _ in range(self.aim.missing(census, self.queued)):
            heapq.heappush(self.coming, now + self.start)
            self.starts.append(now)
        for _ in range(self.aim.surplus(self.census(now), self.idle, now)):
            self.idle.pop(0)
            self.ends.append(now)
        self.most = max(self.most, self.census(now).alive)

    def run(self, arrivals: list[float], begin: float, until: float) -> None:
        now, arrivals = begin, sorted(arrivals, reverse=True)
        while now < until:
            while arrivals and arrivals[-1] <= now:
                if self.queued >= len(self.idle):
                    self.on_wait(now)
                arrivals.pop()
                self.queued += 1
            self.step(now)
            late = [end - self.service + self.aim.pace.noticeable_start for end in self.busy]
            due = [now + 0.5, *self.coming[:1], *self.busy[:1], *arrivals[-1:], *late]
            now = min(at for at in due if at > now)


def spec_of(isolation: str, min_idle: int, max_workers: int, idle_timeout: float) -> FunctionSpec:
    return FunctionSpec("f", isolation=isolation, pool=PoolSpec(min_idle, max_workers, idle_timeout))  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    st.sampled_from(["process", "shared"]),
    st.integers(0, 2),
    st.floats(0.3, 3.0),
    st.floats(0.1, 2.0),
    st.floats(0.1, 3.0),
    st.sampled_from([5.0, 30.0, 300.0]),
)
def test_a_steady_load_starts_and_ends_nobody_once_it_is_known(
    isolation, min_idle, every, service, start, timeout
) -> None:  # type: ignore[no-untyped-def]
    load = service / every
    assume(abs(load - round(load)) > 0.02)  # a worker that is never free for a moment: rounding alone makes it two
    model = Model(spec_of(isolation, min_idle, 12, timeout), start, service)
    model.run([every * number for number in range(int(300 / every) + 1)], 0.0, until=300.0)
    late = [at for at in (*model.starts, *model.ends) if at > 200.0]
    assert late == [], (isolation, min_idle, every, service, start, timeout)
    assert model.most <= 12


@pytest.mark.parametrize("isolation", ["pod", "process", "shared"])
def test_when_the_load_is_over_the_minimum_stays(isolation: str) -> None:
    model = Model(spec_of(isolation, 1, 6, 20.0), start=0.5, service=1.0)
    model.run([0.3 * number for number in range(200)], 0.0, until=60.0)
    assert model.most > 2
    model.run([], 60.0, until=300.0)
    assert (len(model.idle), len(model.coming), len(model.busy)) == (1, 0, 0)


def test_ahead_of_demand_few_events_wait_for_a_fresh_worker() -> None:
    """Poisson arrivals, two a second, a start takes half a second: without, each of them would wait for a start."""
    chance, arrivals, now = Random(5), [], 0.0
    while now < 300.0:
        now += chance.expovariate(2.0)
        arrivals.append(now)
    later = [at for at in arrivals if at > 60.0]
    model = Model(spec_of("pod", 0, 20, 300.0), start=0.5, service=0.1)
    model.run([at for at in arrivals if at <= 60.0], 0.0, until=60.0)
    waited: list[float] = []
    model.on_wait = waited.append
    model.run(later, 60.0, until=300.0)
    assert len(waited) < len(later) / 4
    assert len(model.starts) < len(arrivals) * 1.1
