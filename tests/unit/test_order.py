"""`ordered: true`, judged by a slow model: of each device the oldest event that is not over, and nothing else, may go."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge_agent.domain.invocation import Invocation
from edge_agent.engine.functions.lanes import key_of
from edge_agent.engine.functions.line import Line
from edge_agent.engine.functions.work import Task

DEVICES = ("tank-1", "tank-2", "tank-3")


def task(number: int, device: str) -> Task:
    event = msgspec.json.encode({"id": str(number), "source": "/s", "data": {"device": device}})
    return Task(Invocation(str(number), "f", event, 0), 1, True, 1e9, 0.0)


class Order(RuleBasedStateMachine):
    """The model is a list of what arrived, each with what became of it; the truth is found by going through all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Line(ordered=True)
        self.arrived: list[Task] = []
        self.device: dict[Task, str] = {}
        self.became: dict[Task, str] = {}
        """waits, held, later, closing, over."""
        self.now = 0.0

    def oldest(self, device: str) -> Task | None:
        return next((t for t in self.arrived if self.device[t] == device and self.became[t] != "over"), None)

    def those(self, state: str) -> list[Task]:
        return [each for each in self.arrived if self.became[each] == state]

    @rule(device=st.sampled_from(DEVICES), later=st.sampled_from((0.0, 0.0, 3.0)))
    def arrive(self, device: str, later: float) -> None:
        new = task(len(self.arrived), device)
        self.arrived.append(new)
        self.device[new] = device
        self.became[new] = "waits"
        assert self.line.take(new, due=self.now + later if later else 0.0)
        if later and self.oldest(device) is new:
            self.became[new] = "later"

    @precondition(lambda self: len(self.line) > 0)
    @rule()
    def hand_over(self) -> None:
        given = self.line.next()
        assert given is self.oldest(self.device[given]), "an event overtook an earlier one of its device"
        assert self.became[given] == "waits"
        self.became[given] = "held"

    @precondition(lambda self: self.those("held"))
    @rule(data=st.data())
    def could_not_be_given(self, data: Any) -> None:
        held = data.draw(st.sampled_from(self.those("held")))
        self.line.put_back(held)
        self.became[held] = "waits"

    @precondition(lambda self: self.those("held"))
    @rule(data=st.data(), wait=st.floats(0.1, 5.0))
    def fail(self, data: Any, wait: float) -> None:
        held = data.draw(st.sampled_from(self.those("held")))
        self.line.put_off(held, self.now + wait)
        self.became[held] = "later"

    @precondition(lambda self: self.those("held"))
    @rule(data=st.data())
    def end(self, data: Any) -> None:
        held = data.draw(st.sampled_from(self.those("held")))
        others = [t for t in self.arrived if self.device[t] == self.device[held] and self.became[t] != "over"]
        self.line.ended(held)
        assert self.line.closes(held) == (len(others) > 1)
        self.became[held] = "closing"

    @precondition(lambda self: self.those("closing"))
    @rule(data=st.data())
    def on_disk(self, data: Any) -> None:
        closed = data.draw(st.sampled_from(self.those("closing")))
        self.line.pass_on(closed)
        self.line.wake(self.now)
        self.became[closed] = "over"
        following = self.oldest(self.device[closed])
        if following is not None and following.due > self.now:
            self.became[following] = "later"

    @rule(seconds=st.floats(0.1, 4.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.line.wake(self.now)
        for due, _, each in list(self.pending()):
            assert due > self.now
            assert self.became[each] == "later"
        still = {each for _, _, each in self.pending()}
        for each in self.those("later"):
            if each not in still:
                self.became[each] = "waits"

    def pending(self) -> list[tuple[float, int, Task]]:
        return self.line._later

    @invariant()
    def what_is_ready_is_what_the_model_says(self) -> None:
        expected = {
            oldest
            for device in DEVICES
            if (oldest := self.oldest(device)) is not None and self.became[oldest] == "waits"
        }
        assert set(self.line._ready) == expected
        assert len(self.line) == len(expected)
        begun = {each for each in self.arrived if self.oldest(self.device[each]) is each}
        assert self.line.held_back == sum(1 for each in self.those("waits") if each not in begun)
        assert len(self.line.known) == sum(1 for state in self.became.values() if state not in ("closing", "over"))

    @invariant()
    def who_waits_only_for_the_disk_is_known(self) -> None:
        for each in self.those("waits"):
            oldest = self.oldest(self.device[each])
            assert oldest is not None
            assert self.line.closing(each) == (self.became[oldest] == "closing")

    def teardown(self) -> None:
        for _ in range(4 * len(self.arrived)):
            self.line.wake(float("inf"))
            for each in self.those("closing"):
                self.line.pass_on(each)
                self.became[each] = "over"
            for each in self.those("held"):
                self.line.ended(each)
                self.line.closes(each)
                self.became[each] = "closing"
            while self.line:
                self.became[self.line.next()] = "held"
        assert set(self.became.values()) <= {"over"}, "an event was forgotten"


TestOrder = Order.TestCase
TestOrder.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def test_a_function_that_becomes_ordered_lets_be_what_runs_and_holds_back_the_rest() -> None:
    line = Line()
    tasks = [task(number, device) for number, device in enumerate(("a", "b", "a", "a", "b"))]
    for each in tasks:
        line.take(each)
    running = [line.next(), line.next(), line.next()]  # a, b, a
    line.arrange(ordered=True)
    assert len(line) == 0
    for each in running[:2]:
        line.ended(each)
        line.closes(each)
        line.pass_on(each)
    assert [line.next() for _ in range(len(line))] == [tasks[4]], "the second a still runs"
    line.ended(running[2])
    line.closes(running[2])
    line.pass_on(running[2])
    assert line.next() is tasks[3]


def test_a_function_that_becomes_unordered_lets_all_go_in_the_order_they_came() -> None:
    line = Line(ordered=True)
    tasks = [task(number, device) for number, device in enumerate(("a", "b", "a", "a", "b"))]
    for each in tasks:
        line.take(each)
    line.arrange(ordered=False)
    assert [line.next() for _ in range(len(line))] == [tasks[0], tasks[1], tasks[2], tasks[3], tasks[4]]


def test_a_function_that_is_deleted_gives_up_what_waits_and_keeps_the_place_of_what_runs() -> None:
    line = Line(ordered=True)
    tasks = [task(number, device) for number, device in enumerate(("a", "a", "b", "b"))]
    for each in tasks:
        line.take(each)
    running = line.next()
    assert set(line.drain()) == set(tasks) - {running}
    for each in tasks[1:]:
        line.ended(each)
    late = task(9, "a")
    line.take(late)
    assert len(line) == 0, "its predecessor still runs"
    line.ended(running)
    line.closes(running)
    line.pass_on(running)
    assert line.next() is late
    line.take(task(10, "b"))
    assert len(line) == 1


@pytest.mark.parametrize(
    ("event", "key"),
    [
        (b'{"source":"/s","data":{"device":"tank-1","value":3}}', "device tank-1"),
        (b'{"source":"/s","data":{"value":3}}', "source /s"),
        (b'{"source":"/s","partitionkey":"tank-2","data":{"value":3}}', "device tank-2"),
        (b'{"source":"/s","partitionkey":"tank-2","data":"text"}', "device tank-2"),
        (b'{"source":"/s","data":{"device":""}}', "source /s"),
        (b'{"source":"/s","data":{"device":7}}', "source /s"),
        (b'{"source":"/s","data":"text"}', "source /s"),
        (b'{"source":"/s","data":null}', "source /s"),
        (b'{"source":"/s"}', "source /s"),
        (b'{"source":"device x"}', "source device x"),
        (b"not json", ""),
        (b"\xff\xfe", ""),
    ],
)
def test_the_key_is_the_device_else_the_source(event: bytes, key: str) -> None:
    assert key_of(Invocation("e", "f", event, 0)) == key
