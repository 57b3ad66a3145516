"""Starts that wait for the machine: nothing is lost, order is kept, people are told why and what would help."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_agent.domain.function import MiB, PoolSpec, RetrySpec
from edge_agent.domain.invocation import Failed, Succeeded
from edge_agent.domain.vitals import Vitals
from edge_agent.engine.functions import pool
from edge_agent.engine.functions.governor import Governor, Limits
from edge_agent.engine.functions.standing import advice
from edge_agent.testing import FakeRunner
from tests.functions.shelf import Shelf
from tests.functions.test_fairness import event
from tests.waiting import eventually

WELL = Vitals(memory_available=2048 * MiB, celsius=45.0)
FULL = replace(WELL, memory_available=70 * MiB)
LIMITS = Limits(memory_reserve=64 * MiB, hot=80.0, pressure=True)
FakeShelf = Callable[..., Shelf]


class Board:
    """What the machine tells of itself; a test says what."""

    def __init__(self) -> None:
        self.vitals = WELL

    def __call__(self) -> Vitals:
        return self.vitals


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def fakes(tmp_path: Path, board: Board) -> Iterator[FakeShelf]:
    """A shelf of functions as threads, on that machine."""
    made: list[Shelf] = []

    def make(handlers: dict[str, Any], limits: Limits = LIMITS) -> Shelf:
        shelf = Shelf(
            tmp_path,
            runner=lambda loop, server, engine: FakeRunner(loop, server, engine, handlers),
            governor=Governor(limits, board),
        )
        made.append(shelf)
        return shelf

    yield make
    for shelf in made:
        shelf.stop()


def status(shelf: Shelf, name: str) -> Any:
    return shelf.engine.status()[name]


def started(shelf: Shelf) -> int:
    return sum(shelf.engine.stats.starts.values())


@pytest.mark.parametrize("isolation", ["pod", "process", "shared"])
def test_two_hundred_events_each_for_three_functions_while_there_is_no_memory_all_run_in_the_end_in_order(
    fakes: FakeShelf, board: Board, isolation: str
) -> None:
    names, came = ("pump", "lamp", "mail"), defaultdict(list)

    def noted(name: str) -> Callable[[Any, Any], int]:
        def handler(event: Any, _worker: object) -> int:
            came[name].append(event["data"])
            return 1

        return handler

    board.vitals = FULL
    shelf = fakes({name: noted(name) for name in names})
    for name in names:
        shelf.declare(name, isolation=isolation, pool=PoolSpec(min_idle=1, max_workers=1))
    shelf.start()
    events = [event(name, number) for number in range(200) for name in names]
    shelf.record(*events)
    eventually(lambda: all((status(shelf, name)["delayed"] or {}).get("reason") == "memory" for name in names))
    assert started(shelf) == 0
    assert "a worker declares 64 MiB" in status(shelf, "pump")["delayed"]["why"]
    assert {name: shelf.engine.stats.starts_delayed[name, "memory"] for name in names} == dict.fromkeys(names, 1)
    board.vitals = WELL
    for each in events:
        assert isinstance(shelf.outcome(each), Succeeded)
    assert dict(came) == {name: list(range(200)) for name in names}, "lost, run twice, or out of order"
    eventually(lambda: status(shelf, "pump")["delayed"] is None)


def test_real_processes_wait_for_memory_and_run_when_it_is_there(tmp_path: Path, board: Board) -> None:
    board.vitals = FULL
    shelf = Shelf(tmp_path, governor=Governor(LIMITS, board))
    try:
        for name in ("pump", "lamp", "mail"):
            shelf.shell(name, "echo 1", isolation="pod", pool=PoolSpec(max_workers=2))
        shelf.start()
        sent = [shelf.send(name) for _ in range(5) for name in ("pump", "lamp", "mail")]
        eventually(lambda: status(shelf, "mail")["delayed"])
        assert not list((tmp_path / "workers").glob("*-*"))
        board.vitals = WELL
        assert all(isinstance(shelf.outcome(each), Succeeded) for each in sent)
    finally:
        shelf.stop()


def test_an_event_that_waits_too_long_ends_with_what_it_waited_for(fakes: FakeShelf, board: Board) -> None:
    board.vitals = FULL
    shelf = fakes({"pump": lambda _event, _worker: 1})
    shelf.declare("pump", isolation="pod", retry=RetrySpec(max_age=0.3))
    shelf.start()
    outcome = shelf.outcome(shelf.send("pump"))
    assert isinstance(outcome, Failed)
    assert outcome.kind == "expired"
    assert "waited longer than 0.3 s for a worker: a worker declares 64 MiB, and 6 MiB are free" in outcome.reason
    assert status(shelf, "pump")["delayed"] is None, "nothing is wanted any more"


def test_a_hot_board_starts_one_for_the_event_and_none_in_advance(
    fakes: FakeShelf, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.engine.functions.strain.HOLD", 0.5)
    board.vitals = Vitals(celsius=84.0, slowed=True)
    shelf = fakes({"pump": lambda _event, _worker: 1, "lamp": lambda _event, _worker: 1})
    shelf.declare("pump", isolation="shared", pool=PoolSpec(min_idle=4, max_workers=4))
    shelf.declare("lamp", isolation="shared")
    shelf.start()
    eventually(
        lambda: "84 °C, the board throttles; those that wait in advance one a minute" in str(status(shelf, "pump"))
    )
    assert shelf.engine.stats.starts["pump"] == 1, "one, and no other for a minute"
    held = shelf.send("lamp")
    eventually(
        lambda: "84 °C, the board throttles; workers start one every 10 s" in str(status(shelf, "lamp")["delayed"])
    )
    board.vitals = Vitals(celsius=60.0)
    assert isinstance(shelf.outcome(held), Succeeded)
    assert shelf.engine.stats.starts["lamp"] == 1


def test_a_trial_of_a_new_version_does_not_wait(fakes: FakeShelf, board: Board) -> None:
    """Somebody sits there and waits for the word."""
    shelf = fakes({"pump": lambda _event, _worker: 1})
    spec = shelf.declare("pump", isolation="shared", pool=PoolSpec(max_workers=2))
    board.vitals = FULL
    shelf.start()
    results: list[str | None] = []
    shelf.engine.rollout(spec, results.append)
    eventually(lambda: results)
    assert results == [None]


def test_a_burst_on_an_empty_pool_keeps_its_order_and_says_what_would_help(fakes: FakeShelf) -> None:
    order: list[int] = []
    shelf = fakes({"pump": lambda event, _worker: order.append(event["data"])}, Limits(per_second=4.0, burst=1))
    shelf.declare("pump", isolation="pod", pool=PoolSpec(min_idle=0, max_workers=1))
    shelf.start()
    events = [event("pump", number) for number in range(8)]
    shelf.record(*events)
    eventually(lambda: (status(shelf, "pump")["delayed"] or {}).get("reason") == "rate")
    told = eventually(lambda: status(shelf, "pump")["advice"])
    assert "minIdle" in told or "maxWorkers" in told
    for each in events:
        assert isinstance(shelf.outcome(each), Succeeded)
    assert order == list(range(8))


def test_a_worker_that_cannot_be_started_keeps_no_memory_promised(fakes: FakeShelf, board: Board) -> None:
    board.vitals = replace(WELL, memory_available=(64 + 64 + 30) * MiB)
    answers = itertools.count()
    shelf = fakes({"lamp": lambda _event, _worker: next(answers)})
    shelf.declare("none", isolation="shared")
    shelf.declare("lamp", isolation="shared")
    shelf.start()
    shelf.send("none")
    eventually(lambda: "there is no handler" in status(shelf, "none")["last_error"])
    assert shelf.answer("lamp") == 0


@pytest.mark.parametrize(
    ("isolation", "census", "waited", "panic", "says"),
    [
        ("pod", pool.Census(coming=3), 2.0, False, "raise pool.minIdle"),
        ("pod", pool.Census(idle=3), 0.0, True, "isolation: process"),
        ("pod", pool.Census(coming=3), 0.2, False, ""),
        ("pod", pool.Census(busy=4), 2.0, False, "raise pool.maxWorkers"),
        ("shared", pool.Census(busy=4), 2.0, True, "raise pool.maxWorkers"),
        ("shared", pool.Census(busy=2), 2.0, True, ""),
    ],
)
def test_what_would_help_is_said_when_something_would(
    shelf: Shelf, isolation: str, census: pool.Census, waited: float, panic: bool, says: str
) -> None:
    found = advice(shelf.declare("pump", isolation=isolation), census, waited, panic=panic)
    assert says in found
    assert bool(says) == bool(found)
