"""When a worker may be started: never more than the rate allows, never into memory that is not there, slowly under strain,
and in the end always."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.domain.function import MiB
from edge_agent.domain.vitals import Vitals
from edge_agent.engine.functions.governor import EVENT, LOOK, SPARE, Delay, Governor, Limits, Want
from edge_agent.engine.functions.limits import for_board
from edge_agent.engine.functions.strain import HOLD

EVENTS, SPARES = Want(64 * MiB, EVENT), Want(64 * MiB, SPARE)
COOL = Vitals(celsius=50.0)


class Board:
    """A machine that is as it is told to be; counts how often it was looked at."""

    def __init__(self, vitals: Vitals = COOL) -> None:
        self.vitals = vitals
        self.looks = 0

    def __call__(self) -> Vitals:
        self.looks += 1
        return self.vitals


def delay(governor: Governor, now: float, want: Want = EVENTS) -> Delay:
    found = governor.judge(now, want)
    assert found is not None
    return found


def first_start(governor: Governor, now: float, want: Want, limit: int = 10_000) -> float:
    """Ask as often as told to; when it may start."""
    for _ in range(limit):
        found = governor.judge(now, want)
        if found is None:
            return now
        assert found.until > now, "asked again at once, for ever"
        now = found.until
    raise AssertionError(f"never let start: {found}")


# -- rate


@given(
    st.floats(0.5, 50.0),
    st.integers(1, 30),
    st.lists(st.tuples(st.sampled_from([0.0, 0.001, 0.1, 1.0, 7.0]), st.booleans()), max_size=200),
)
def test_no_window_holds_more_starts_than_the_bucket_allows(
    rate: float, burst: int, asked: list[tuple[float, bool]]
) -> None:
    governor, now, started = Governor(Limits(per_second=rate, burst=burst)), 1000.0, []
    for number, (pause, spare) in enumerate(asked):
        now += pause
        if governor.judge(now, SPARES if spare else EVENTS) is None:
            governor.starts(now, str(number), 0)
            started.append(now)
    for first, begin in enumerate(started):
        for last in range(first, len(started)):
            assert last - first + 1 <= burst + rate * (started[last] - begin) + 1e-3


@given(st.floats(0.5, 50.0), st.integers(1, 30), st.integers(0, 60), st.sampled_from([EVENTS, SPARES]))
def test_every_start_happens_as_soon_as_it_was_said_to(rate: float, burst: int, before: int, want: Want) -> None:
    governor, now = Governor(Limits(per_second=rate, burst=burst)), 1000.0
    for number in range(before):
        now = first_start(governor, now, EVENTS)
        governor.starts(now, str(number), 0)
    found = governor.judge(now, want)
    if found is not None:
        assert found.reason == "rate"
        assert found.until - now <= ((burst - 1) / 4 + 1) / rate + 1e-3
        assert governor.judge(found.until, want) is None


def test_workers_in_advance_leave_a_quarter_of_the_burst_to_events() -> None:
    governor = Governor(Limits(per_second=1.0, burst=9))
    spares = 0
    while governor.judge(0.0, SPARES) is None:
        governor.starts(0.0, f"spare-{spares}", 0)
        spares += 1
    events = 0
    while governor.judge(0.0, EVENTS) is None:
        governor.starts(0.0, f"event-{events}", 0)
        events += 1
    assert (spares, events) == (7, 2)
    assert "1 a second" in delay(governor, 0.0).why


def test_what_was_started_without_asking_is_paid_back_before_the_next() -> None:
    governor = Governor(Limits(per_second=2.0, burst=1))
    for number in range(3):
        governor.starts(0.0, str(number), 0)
    assert delay(governor, 0.0).until == pytest.approx(1.5)


# -- memory


def memory_board(free: int) -> Board:
    return Board(Vitals(memory_available=free * MiB))


def test_a_worker_that_does_not_fit_beside_the_reserve_waits_and_starts_when_it_does() -> None:
    board = memory_board(120)
    governor = Governor(Limits(memory_reserve=80 * MiB), board)
    found = delay(governor, 0.0)
    assert found.reason == "memory"
    assert "declares 64 MiB, and 40 MiB are free beyond the reserve of 80 MiB" in found.why
    board.vitals = Vitals(memory_available=150 * MiB)
    assert governor.judge(0.5, EVENTS) is not None, "looked at more than once a second"
    again = delay(governor, found.until)
    assert "64 MiB and 10 MiB are to be left, and 70 MiB are free" in again.why, "it would flap"
    board.vitals = Vitals(memory_available=154 * MiB)
    assert governor.judge(found.until + LOOK, EVENTS) is None
    assert board.looks == 3


def test_what_was_started_since_the_last_look_counts_at_its_full_size_until_it_is_seen() -> None:
    board = memory_board(64 * 3 + 10)
    governor = Governor(Limits(memory_reserve=10 * MiB), board)
    for number in range(3):
        assert governor.judge(0.0, EVENTS) is None
        governor.starts(0.0, str(number), EVENTS.memory)
    governor.gone("0")
    board.vitals = Vitals(memory_available=(64 * 2 + 30) * MiB)
    governor.asks("1")
    assert governor.judge(0.9, EVENTS) is None, "its memory has come back"
    board.vitals = Vitals(memory_available=(64 + 10 + 2 + 64) * MiB)
    assert governor.judge(1.0, EVENTS) is None, "1 is in what was seen, and 2 has yet to take its own"
    governor.starts(1.0, "3", EVENTS.memory)
    assert governor.judge(1.0, EVENTS) is not None


@given(st.lists(st.tuples(st.sampled_from(["start", "ask", "go", "wait"]), st.integers(0, 20)), max_size=150))
def test_promises_never_add_up_to_more_than_was_free(steps: list[tuple[str, int]]) -> None:
    """Workers take what they declare when they ask; the machine never goes below its reserve."""
    total, reserve = 700 * MiB, 90 * MiB
    taken: dict[str, int] = {}
    coming: dict[str, int] = {}
    governor, now = Governor(Limits(memory_reserve=reserve), lambda: Vitals(total - sum(taken.values()))), 0.0
    for number, (step, which) in enumerate(steps):
        everybody = [*coming, *taken]
        if step == "start":
            want = Want((which + 1) * 10 * MiB, EVENT)
            if governor.judge(now, want) is None:
                governor.starts(now, str(number), want.memory)
                coming[str(number)] = want.memory
        elif step == "wait":
            now += which / 10
        elif everybody:
            name = everybody[which % len(everybody)]
            if step == "ask" and name in coming:
                taken[name] = coming.pop(name)
                governor.asks(name)
            elif step == "go":
                coming.pop(name, None)
                taken.pop(name, None)
                governor.gone(name)
        assert total - sum(taken.values()) - sum(coming.values()) >= reserve


def test_one_that_waits_in_advance_needs_room_for_an_events_worker_beside_it() -> None:
    governor = Governor(Limits(memory_reserve=10 * MiB), memory_board(100))
    assert "beside one for an event" in delay(governor, 0.0, SPARES).why
    governor = Governor(Limits(memory_reserve=10 * MiB), memory_board(100))
    assert governor.judge(0.0, EVENTS) is None


# -- strain

LIMITS = Limits(hot=80.0, pressure=True)


def heat(celsius: float, *, slowed: bool = False) -> Vitals:
    return Vitals(celsius=celsius, slowed=slowed)


def starts_within(governor: Governor, seconds: float, want: Want) -> list[float]:
    now, started = first_start(governor, 0.0, want), []
    while now < seconds:
        governor.starts(now, str(len(started)), 0)
        started.append(now)
        now = first_start(governor, now, want)
        if started[-1] == now and len(started) > 100:
            return started
    return started


@pytest.mark.parametrize(
    ("vitals", "reason", "events", "spares", "says"),
    [
        (heat(84.2, slowed=True), "heat", 10.0, 60.0, "84 °C, the board throttles; workers start one every 10 s until"),
        (heat(81.0), "heat", 10.0, 60.0, "81 °C; workers start one every 10 s until it is below 75 °C"),
        (Vitals(slowed=True), "heat", 10.0, 60.0, "the board is hot, the board throttles"),
        (Vitals(under_voltage=True), "voltage", 10.0, 60.0, "supply is too weak"),
        (
            Vitals(memory_stalled=12.0),
            "memory-pressure",
            10.0,
            60.0,
            "stands still 12 % of the time for want of memory",
        ),
        (Vitals(io_stalled=55.0), "io-pressure", 1.0, 10.0, "stands still 55 % of the time for want of the disk"),
    ],
)
def test_under_strain_starts_come_slowly_and_the_reason_is_said(
    vitals: Vitals, reason: str, events: float, spares: float, says: str
) -> None:
    for want, pause in ((EVENTS, events), (SPARES, spares)):
        governor = Governor(LIMITS, Board(vitals))
        started = starts_within(governor, 10 * pause, want)
        assert {round(later - earlier, 6) for earlier, later in pairwise(started)} == {pause}
    governor = Governor(LIMITS, Board(vitals))
    governor.starts(0.0, "one", 0)
    found = delay(governor, 0.0)
    assert found.reason == reason
    assert says in found.why
    assert found.until <= LOOK, "it may be over sooner"


def test_a_busy_processor_slows_workers_in_advance_and_no_event() -> None:
    governor = Governor(LIMITS, Board(Vitals(cpu_awaited=99.0)))
    governor.starts(0.0, "one", 0)
    assert governor.judge(0.0, EVENTS) is None
    assert delay(governor, 0.0, SPARES).reason == "cpu-pressure"


def test_of_several_the_slowest_counts() -> None:
    governor = Governor(LIMITS, Board(Vitals(io_stalled=90.0, celsius=90.0)))
    governor.starts(0.0, "one", 0)
    assert delay(governor, 0.0).reason == "heat"


def test_it_does_not_flap_around_the_limit() -> None:
    """A board between 79 and 81 degrees is hot all the time; at 74 it has cooled, ten seconds later."""
    board = Board(heat(81.0))
    governor = Governor(LIMITS, board)
    assert governor.judge(0.0, EVENTS) is None
    governor.starts(0.0, "one", 0)
    for second in range(1, 10):
        board.vitals = heat(79.0 if second % 2 else 81.0)
        assert delay(governor, float(second)).reason == "heat"
    board.vitals = heat(74.0)
    governor.starts(9.5, "two", 0)
    assert delay(governor, 9.0 + LOOK).reason == "heat", "for a moment only, it may be"
    assert governor.judge(9.0 + HOLD, EVENTS) is None
    board.vitals = heat(79.0)
    assert governor.judge(30.0, EVENTS) is None, "below 80 nothing begins"


def test_what_the_machine_does_not_tell_is_not_judged() -> None:
    board = Board(Vitals())
    governor = Governor(replace(LIMITS, memory_reserve=64 * MiB), board)
    for number in range(100):
        assert governor.judge(0.0, SPARES) is None
        governor.starts(0.0, str(number), SPARES.memory)
    assert board.looks == 1


def test_without_limits_nobody_looks_and_nobody_waits() -> None:
    board = Board(heat(99.0))
    governor = Governor(Limits(), board)
    assert all(governor.judge(float(number), SPARES) is None for number in range(10))
    assert board.looks == 0


@given(
    st.lists(
        st.builds(
            Vitals,
            memory_available=st.one_of(st.none(), st.integers(0, 300 * MiB)),
            celsius=st.one_of(st.none(), st.floats(20.0, 100.0)),
            slowed=st.booleans(),
            under_voltage=st.booleans(),
            memory_stalled=st.one_of(st.none(), st.floats(0.0, 100.0)),
            io_stalled=st.one_of(st.none(), st.floats(0.0, 100.0)),
            cpu_awaited=st.one_of(st.none(), st.floats(0.0, 100.0)),
        ),
        max_size=30,
    ),
    st.sampled_from([EVENTS, SPARES]),
)
def test_whatever_was_wrong_before_a_start_comes_once_the_machine_is_well(bad: list[Vitals], want: Want) -> None:
    board = Board()
    governor, now = Governor(replace(LIMITS, per_second=4.0, burst=8, memory_reserve=80 * MiB), board), 0.0
    for number, vitals in enumerate(bad):
        board.vitals = vitals
        now += 1.0
        if governor.judge(now, want) is None:
            governor.starts(now, str(number), want.memory)
            governor.asks(str(number))
    board.vitals = Vitals(memory_available=500 * MiB, celsius=40.0)
    assert first_start(governor, now, want) - now <= HOLD + 2 * LOOK + 1.0


# -- by board


@pytest.mark.parametrize(
    ("cores", "memory", "pods", "limits"),
    [
        (4, 1024 * MiB, False, Limits(800.0, 800, 1024 * MiB // 12)),
        (4, 512 * MiB, False, Limits(800.0, 800, 64 * MiB)),
        (4, 8192 * MiB, False, Limits(800.0, 800, 512 * MiB)),
        (1, 0, False, Limits(200.0, 200, 0)),
        (2, 4096 * MiB, True, Limits(4.0, 20, 0)),
    ],
)
def test_limits_suit_the_board(cores: int, memory: int, pods: bool, limits: Limits) -> None:
    assert for_board(cores=cores, memory=memory, pods=pods) == limits
