"""How many workers a function gets, by counting alone."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.domain.function import FunctionSpec, PoolSpec
from edge_agent.engine.functions.backoff import Backoff
from edge_agent.engine.functions.pool import Census, Pace, Wish, to_let_go, to_start, wanted

NOW = 1000.0


def function(isolation: str = "pod", max_workers: int = 4) -> FunctionSpec:
    return FunctionSpec("f", isolation=isolation, pool=PoolSpec(0, max_workers, idle_timeout=60.0))  # type: ignore[arg-type]


COUNTS = st.integers(0, 20)
SPECS = st.builds(function, st.sampled_from(["pod", "process", "shared"]), st.integers(1, 20))
PACES = st.builds(Pace, *[st.floats(0, 30)] * 3)
WISHES = st.builds(Wish, COUNTS, COUNTS, COUNTS, COUNTS, st.booleans())


@st.composite
def censuses(draw: st.DrawFn) -> Census:
    busy = draw(COUNTS)
    return Census(draw(COUNTS), draw(COUNTS), busy, draw(COUNTS), late=draw(st.integers(0, busy)))


@given(SPECS, censuses(), COUNTS, PACES, WISHES)
def test_never_above_the_ceiling_and_never_negative(spec, census, queued, pace, wish) -> None:  # type: ignore[no-untyped-def]
    started = to_start(spec, census, queued, pace, wish)
    assert started >= 0
    assert started == 0 or census.alive + started <= spec.pool.max_workers
    assert wanted(spec, census, queued, pace, wish) <= spec.pool.max_workers


@given(SPECS, censuses(), COUNTS, PACES, WISHES)
def test_so_many_wait_as_the_minimum_says_or_there_is_no_room(spec, census, queued, pace, wish) -> None:  # type: ignore[no-untyped-def]
    started = to_start(spec, census, queued, pace, wish)
    soon = 0 if spec.isolation == "pod" else census.busy - census.late
    waiting = census.idle + census.coming + soon + started
    assert waiting >= wish.min_idle or census.alive + started >= spec.pool.max_workers


@given(SPECS, censuses(), WISHES, st.lists(st.floats(0, NOW), max_size=20))
def test_letting_go_never_takes_who_is_wanted(spec, census, wish, since) -> None:  # type: ignore[no-untyped-def]
    census = Census(census.coming, len(since), census.busy, census.ending, census.late)
    gone = to_let_go(spec, census, wish, since, NOW)
    left = Census(census.coming, census.idle - gone, census.busy, census.ending, census.late)
    assert 0 <= gone <= sum(1 for at in since if NOW - at >= 60.0)
    assert gone == 0 or left.coming + left.idle >= min(wish.min_idle, spec.pool.max_workers - left.busy)
    if gone:
        assert not wish.panic
        assert to_start(spec, left, 0, Pace(), wish) == 0, "let go, only to be started again"


@given(SPECS, st.integers(1, 1000), PACES)
def test_whatever_the_pace_an_event_without_any_worker_gets_one(spec, queued, pace) -> None:  # type: ignore[no-untyped-def]
    assert to_start(spec, Census(), queued, pace, Wish()) >= 1


@given(SPECS, PACES)
def test_scaled_to_zero_nothing_is_started_without_an_event(spec, pace) -> None:  # type: ignore[no-untyped-def]
    assert to_start(spec, Census(), 0, pace, Wish()) == 0


def test_the_waiting_pool_is_filled_up_behind_a_fresh_worker_that_has_an_event() -> None:
    assert to_start(function("pod"), Census(busy=1), 0, Pace(), Wish(min_idle=2)) == 2


def test_fresh_workers_wait_for_the_events_that_are_expected() -> None:
    assert to_start(function("pod", 8), Census(idle=1), 0, Pace(), Wish(min_idle=1, ahead=3)) == 3
    assert to_start(function("pod", 2), Census(idle=1), 0, Pace(), Wish(min_idle=1, ahead=3)) == 1


def test_a_fresh_worker_for_each_queued_event_as_far_as_there_is_room() -> None:
    assert to_start(function("pod"), Census(busy=1), 10, Pace(), Wish()) == 3


def test_workers_that_are_still_ending_take_up_room() -> None:
    assert to_start(function("pod"), Census(ending=3), 0, Pace(), Wish(min_idle=4)) == 1


def test_quick_events_do_not_make_a_second_worker_that_serves_many() -> None:
    assert to_start(function("shared"), Census(busy=1), 20, Pace(start=0.3, service=0.002), Wish()) == 0
    assert to_start(function("process"), Census(busy=1), 20, Pace(start=0.3, service=0.002), Wish()) == 0


def test_slow_events_do() -> None:
    assert to_start(function("shared"), Census(busy=1), 3, Pace(start=0.3, service=5.0), Wish()) == 3


def test_what_a_process_takes_to_renew_itself_counts_as_work() -> None:
    slow = Pace(start=0.3, service=0.002, renewal=0.3)
    assert to_start(function("process", 9), Census(busy=1), 3, slow, Wish()) == 3


def test_a_worker_that_is_soon_back_counts_as_waiting_and_one_that_is_late_does_not() -> None:
    for isolation in ("process", "shared"):
        assert to_start(function(isolation), Census(busy=1), 0, Pace(), Wish(min_idle=2)) == 1
        assert to_start(function(isolation), Census(busy=1, late=1), 0, Pace(), Wish(min_idle=2)) == 2


def test_processes_that_renew_themselves_count_as_coming() -> None:
    assert to_start(function("process"), Census(coming=2), 2, Pace(0.3, 5.0), Wish(min_idle=2)) == 0


def test_what_the_last_minute_asked_for_is_started_without_a_queue() -> None:
    assert to_start(function("shared"), Census(busy=1), 0, Pace(0.3, 0.002), Wish(desired=3)) == 2
    assert to_start(function("pod"), Census(busy=1), 0, Pace(0.3, 0.002), Wish(desired=3)) == 0


def test_those_idle_too_long_are_let_go_but_for_the_minimum() -> None:
    since, three = [0.0, 900.0, 990.0], Census(idle=3)
    for isolation in ("pod", "process", "shared"):
        assert to_let_go(function(isolation), three, Wish(), since, NOW) == 2
        assert to_let_go(function(isolation), three, Wish(min_idle=2), since, NOW) == 1
        assert to_let_go(function(isolation), three, Wish(min_idle=3), since, NOW) == 0
        assert to_let_go(function(isolation), three, Wish(), [950.0] * 3, NOW) == 0


def test_nobody_is_let_go_in_panic_nor_while_the_last_minute_asks_for_him() -> None:
    assert to_let_go(function("shared"), Census(idle=3), Wish(panic=True), [0.0] * 3, NOW) == 0
    assert to_let_go(function("shared"), Census(idle=3), Wish(desired=2), [0.0] * 3, NOW) == 1
    assert to_let_go(function("pod"), Census(idle=3), Wish(ahead=2), [0.0] * 3, NOW) == 1


def test_failed_starts_come_less_and_less_often_and_one_at_a_time() -> None:
    backoff, chance, waits, now = Backoff(), Random(1), [], 1000.0
    for _ in range(12):
        backoff.failed(now, chance)
        waits.append(backoff.until - now)
        now = backoff.until
    for failures, wait in enumerate(waits):
        longest = min(60.0, 0.5 * 2**failures)
        assert longest / 2 <= wait <= longest + 1e-9
    assert backoff.allows(4, 0, now=now - 0.1) == 0
    assert backoff.allows(4, 0, now=now) == 1
    assert backoff.allows(4, 1, now=now) == 0


def test_those_that_failed_together_failed_once() -> None:
    backoff, chance = Backoff(), Random(1)
    backoff.failed(1000.0, chance)
    until = backoff.until
    backoff.failed(1000.01, chance)
    assert (backoff.failures, backoff.until) == (1, until)


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
