"""A flood for one function delays the others by a turn, not by the flood."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.domain.function import FunctionSpec, PoolSpec
from edge_agent.domain.invocation import Invocation
from edge_agent.engine.functions.admission import Arrival, Fetched
from edge_agent.engine.functions.inbox import AT_A_TIME, Inbox
from edge_agent.ports import Pending
from edge_agent.testing import FakeRunner
from tests.functions.shelf import Shelf
from tests.waiting import eventually


def event(function: str, number: int) -> Invocation:
    id = f"tank-1/b/{number}/{function}"
    return Invocation(id, function, msgspec.json.encode({"id": id, "data": number}), int(time.time() * 1000))


class Turns:
    """A loop that does one thing when told to."""

    def __init__(self) -> None:
        self._posted: deque[Callable[[], None]] = deque()

    def post(self, call: Callable[..., None], *args: Any) -> None:
        self._posted.append(lambda: call(*args))

    def all(self) -> None:
        while self._posted:
            self._posted.popleft()()


class Taken:
    """An admission that notes whose turn it was and what came in."""

    on_fetched: Callable[[str, Sequence[Pending]], None]

    def __init__(self) -> None:
        self.turns: list[tuple[str, int]] = []
        self.came: dict[str, list[Arrival]] = {}
        self.left: dict[str, int] = {}

    def take_all(self, function: str, arrivals: Sequence[Arrival]) -> None:
        self.turns.append((function, len(arrivals)))
        self.came.setdefault(function, []).extend(arrivals)

    def leave(self, function: str, count: int) -> None:
        self.left[function] = self.left.get(function, 0) + count


def inbox() -> tuple[Inbox, Turns, Taken]:
    loop, admission = Turns(), Taken()
    return Inbox(loop, admission), loop, admission  # type: ignore[arg-type]


def test_functions_take_turns_and_each_ones_events_stay_in_order() -> None:
    box, loop, taken = inbox()
    flood = [event("flood", number) for number in range(3 * AT_A_TIME)]
    box.submit(flood)
    box.submit([event("second", 0)])
    box.submit([event("third", 0), event("flood", 9999), event("second", 1)])
    loop.all()
    names = [name for name, _ in taken.turns]
    assert names[:4] == ["flood", "second", "third", "flood"], "who had nothing comes before who has just had its turn"
    assert max(count for _, count in taken.turns) <= AT_A_TIME
    assert [each.id for each in taken.came["flood"] if isinstance(each, Invocation)] == [
        each.id for each in [*flood, event("flood", 9999)]
    ]


def test_what_is_read_from_disk_comes_after_what_arrived_before_it() -> None:
    box, loop, taken = inbox()
    first, on_disk = event("flood", 1), event("flood", 2)
    box.submit([first])
    box.fetched("flood", [Pending(7, on_disk)])
    loop.all()
    assert taken.came["flood"] == [first, Pending(7, on_disk), Fetched(True)]


def test_who_posts_more_than_fits_is_told_to_leave_it_on_disk_and_room_comes_back(monkeypatch: Any) -> None:
    monkeypatch.setattr("edge_agent.engine.functions.inbox.MOST_POSTED", 10)
    box, loop, taken = inbox()
    box.submit([event("a", number) for number in range(8)])
    box.submit([event("a", 8), event("b", 0), event("b", 1)])
    loop.all()
    assert (len(taken.came["a"]), taken.left) == (8, {"a": 1, "b": 2})
    box.submit([event("b", number) for number in range(10)])
    loop.all()
    assert len(taken.came["b"]) == 10


def test_workers_are_started_one_in_a_turn_and_functions_in_turn(tmp_path: Path) -> None:
    """Starts cost milliseconds on a small machine: nobody's event waits for more than one."""
    started: list[tuple[int, str]] = []

    class Noting(FakeRunner):
        def start(self, worker_id: str, function: FunctionSpec) -> None:
            started.append((shelf.loop.turns, function.name))
            super().start(worker_id, function)

    handlers = dict.fromkeys(("a", "b", "c"), lambda event, worker: event["data"])
    shelf = Shelf(tmp_path, runner=lambda loop, server, engine: Noting(loop, server, engine, handlers))
    for name in handlers:
        shelf.declare(name, isolation="shared", pool=PoolSpec(4, 4))
    shelf.start()
    try:
        eventually(lambda: len(started) == 12)
        turns = [turn for turn, _ in started]
        assert len(set(turns)) == len(turns)
        for begin in (1, 4, 7):  # the first one had it before anybody else wanted one
            assert {name for _, name in started[begin : begin + 3]} == set(handlers), started
    finally:
        shelf.stop()


def test_a_function_is_answered_while_another_has_thousands_waiting(tmp_path: Path) -> None:
    numbers = itertools.count()
    handlers = {"flood": lambda event, worker: next(numbers), "second": lambda event, worker: next(numbers)}
    shelf = Shelf(tmp_path, runner=lambda loop, server, engine: FakeRunner(loop, server, engine, handlers))
    for name in handlers:
        shelf.declare(name, isolation="shared", pool=PoolSpec(1, 1))
    shelf.start()
    try:
        shelf.idle("second")
        shelf.record(*[event("flood", number) for number in range(5000)])
        answers = [shelf.answer("second") for _ in range(5)]
        assert max(answers) < 4000, "it came last"
    finally:
        shelf.stop()
