"""How many workers a function gets."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.domain.function import FunctionSpec, PoolSpec
from edge_agent.engine.functions.pool import Backoff, Census, Pace, to_let_go, to_start


def fresh(min_idle: int = 0, max_workers: int = 4) -> FunctionSpec:
    return FunctionSpec("f", isolation="pod", pool=PoolSpec(min_idle, max_workers, idle_timeout=60.0))


def shared(min_idle: int = 0, max_workers: int = 4) -> FunctionSpec:
    return FunctionSpec("f", isolation="shared", pool=PoolSpec(min_idle, max_workers, idle_timeout=60.0))


COUNTS = st.integers(0, 20)
CENSUS = st.builds(Census, COUNTS, COUNTS, COUNTS, COUNTS)


@given(CENSUS, COUNTS, st.integers(0, 10), st.integers(1, 20), st.booleans(), st.floats(0, 30), st.floats(0, 30))
def test_never_above_the_ceiling_and_never_negative(census, queued, idle, most, share, start, service) -> None:  # type: ignore[no-untyped-def]
    spec = (shared if share else fresh)(idle, most)
    started = to_start(spec, census, queued, Pace(start, service))
    assert started >= 0
    assert started == 0 or census.alive + started <= most


@given(st.integers(1, 1000), st.booleans(), st.floats(0, 30), st.floats(0, 30))
def test_whatever_the_pace_an_event_without_any_worker_gets_one(queued, share, start, service) -> None:  # type: ignore[no-untyped-def]
    assert to_start((shared if share else fresh)(), Census(), queued, Pace(start, service)) >= 1


def test_scaled_to_zero_nothing_is_started_without_an_event() -> None:
    assert to_start(fresh(), Census(), 0, Pace()) == 0


def test_the_waiting_pool_is_filled_ahead_of_demand() -> None:
    assert to_start(fresh(min_idle=2), Census(busy=1), 0, Pace()) == 2


def test_a_fresh_worker_for_each_queued_event_as_far_as_there_is_room() -> None:
    assert to_start(fresh(), Census(busy=1), 10, Pace()) == 3


def test_workers_that_are_still_ending_take_up_room() -> None:
    assert to_start(fresh(min_idle=4), Census(ending=3), 0, Pace()) == 1


def test_quick_events_do_not_make_a_second_shared_worker() -> None:
    assert to_start(shared(), Census(busy=1), 20, Pace(start=0.3, service=0.002)) == 0


def test_slow_events_do() -> None:
    assert to_start(shared(), Census(busy=1), 3, Pace(start=0.3, service=5.0)) == 3


def test_a_shared_pool_keeps_its_minimum() -> None:
    assert to_start(shared(min_idle=2), Census(busy=1), 0, Pace()) == 1


def test_those_idle_too_long_are_let_go_but_for_the_minimum() -> None:
    assert to_let_go(fresh(min_idle=1), [0.0, 10.0, 90.0], 100.0) == 2
    assert to_let_go(fresh(min_idle=3), [0.0, 10.0, 90.0], 100.0) == 0
    assert to_let_go(fresh(), [50.0, 60.0], 100.0) == 0


def test_failed_starts_come_less_and_less_often_and_one_at_a_time() -> None:
    backoff, chance = Backoff(), Random(1)
    waits = []
    for _ in range(12):
        backoff.failed(0.0, chance)
        waits.append(backoff.until)
    assert waits[0] < 0.6
    assert 30.0 <= waits[-1] <= 60.0
    assert backoff.allows(4, 0, now=waits[-1] - 0.1) == 0
    assert backoff.allows(4, 0, now=waits[-1]) == 1
    assert backoff.allows(4, 1, now=waits[-1]) == 0


def test_a_start_that_works_ends_the_backing_off() -> None:
    backoff = Backoff()
    backoff.failed(0.0, Random(1))
    backoff.worked()
    assert backoff.allows(4, 3, now=0.0) == 4


def test_the_pace_follows_what_is_seen() -> None:
    pace = Pace()
    pace.served(10.0)
    assert pace.service == 10.0
    for _ in range(100):
        pace.served(1.0)
    assert 0.9 < pace.service < 1.1
