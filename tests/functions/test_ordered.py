"""`ordered: true`: one event of a device at a time, in the order recorded, through failures, floods, restarts and redrive."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_agent.domain.function import PoolSpec, RetrySpec
from edge_agent.domain.invocation import Invocation
from edge_agent.engine.functions import line, retry
from edge_agent.ports import Entries
from edge_agent.testing import FakeRunner, FakeWorker
from tests.functions.shelf import Shelf
from tests.waiting import eventually

DEVICES = [f"tank-{number}" for number in range(5)]


class Journey:
    """The function of these tests: notes what it was given, in order, and fails when told to."""

    def __init__(self) -> None:
        self.given: list[tuple[str, int]] = []
        """(device, number of its event), each attempt."""
        self.failing: set[str] = set()
        """Devices whose events fail."""
        self.dice: random.Random | None = None
        """Chance of a failure."""
        self.look: Callable[[], None] = lambda: None
        """Called during each attempt."""
        self.within: dict[str, int] = dict.fromkeys(DEVICES, 0)
        self.together = 0
        """The most events of one device that were being worked on at once."""
        self._lock = threading.Lock()

    def __call__(self, event: Any, worker: FakeWorker) -> Any:
        device, number = event["data"]["device"], event["data"]["number"]
        with self._lock:
            self.given.append((device, number))
            self.within[device] += 1
            self.together = max(self.together, self.within[device])
            fails = device in self.failing or (self.dice is not None and self.dice.random() < 0.2)
        try:
            self.look()
            if worker.killed.wait(0.001):
                raise SystemExit(1)
            if fails:
                raise RuntimeError("not today")
        finally:
            with self._lock:
                self.within[device] -= 1

    def of(self, device: str) -> list[int]:
        """The numbers of its events, each once, in the order first seen; AssertionError when one came again later."""
        seen: list[int] = []
        for each, number in list(self.given):
            if each == device and (not seen or seen[-1] != number):
                assert number not in seen, f"{device}: {number} came again after {seen[-1]}"
                seen.append(number)
        return seen


@pytest.fixture
def journey() -> Journey:
    return Journey()


@pytest.fixture
def shelf(tmp_path: Path, journey: Journey, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    monkeypatch.setattr(retry, "FIRST", 0.02)
    monkeypatch.setattr(retry.pause, "__kwdefaults__", {"first": 0.02, "longest": 0.1})
    shelf = Shelf(tmp_path, runner=lambda loop, server, engine: FakeRunner(loop, server, engine, {"f": journey}))
    shelf.declare("f", isolation="shared", pool=PoolSpec(3, 3), ordered=True, retry=RetrySpec(attempts=3))
    yield shelf
    shelf.stop()


def event(device: str, number: int) -> Invocation:
    id = f"{device}/b/{number}/r"
    data = {"device": device, "number": number}
    body = msgspec.json.encode({"id": id, "source": f"/edge/home/devices/{device}", "data": data})
    return Invocation(id, "f", body, int(time.time() * 1000))


def test_each_device_sees_its_events_one_at_a_time_and_in_order(shelf: Shelf, journey: Journey) -> None:
    shelf.start()
    journey.dice = random.Random(1)
    events = [event(device, number) for number in range(30) for device in DEVICES]
    for begin in range(0, len(events), 10):
        shelf.record(*events[begin : begin + 10])
    for each in events:
        shelf.end(each)
    assert {device: journey.of(device) for device in DEVICES} == {device: list(range(30)) for device in DEVICES}
    assert journey.together == 1
    assert len(journey.given) > len(events), "nothing failed: the test has not tried what it is for"


def test_a_failing_event_holds_back_its_own_device_and_no_other(shelf: Shelf, journey: Journey) -> None:
    shelf.declare("f", isolation="shared", pool=PoolSpec(2, 2), ordered=True, retry=RetrySpec(attempts=1000))
    shelf.start()
    journey.failing = {"tank-0"}
    held = [event("tank-0", number) for number in range(3)]
    others = [event("tank-1", number) for number in range(20)]
    shelf.record(*held, *others)
    for each in others:
        shelf.end(each)
    eventually(lambda: len([1 for device, _ in journey.given if device == "tank-0"]) > 1)
    assert journey.of("tank-0") == [0]
    journey.failing = set()
    for each in held:
        shelf.end(each)
    assert journey.of("tank-0") == [0, 1, 2]


def test_the_next_event_goes_on_when_one_is_dead(shelf: Shelf, journey: Journey) -> None:
    shelf.start()
    journey.failing = {"tank-0"}
    first, second = event("tank-0", 0), event("tank-0", 1)
    shelf.record(first, second)
    assert (shelf.end(first).state, shelf.end(second).state) == ("dead", "dead")
    assert journey.given == [("tank-0", 0)] * 3 + [("tank-0", 1)] * 3


def test_the_end_of_an_event_is_on_disk_before_the_next_of_its_device_begins(shelf: Shelf, journey: Journey) -> None:
    shelf.start()
    seen: list[list[str]] = []

    events = [event("tank-0", 0), event("tank-0", 1)]
    journey.look = lambda: seen.append([shelf.journal.invocation(each.id)[0]["state"] for each in events])
    shelf.record(*events)
    shelf.end(events[1])
    assert seen == [["leased", "leased"], ["answered", "leased"]]


def test_an_event_does_not_wait_for_a_disk_that_lingers(shelf: Shelf, journey: Journey) -> None:
    shelf.start()
    shelf.journal.writer._linger = 3600.0
    first, second = event("tank-0", 0), event("tank-0", 1)
    done = threading.Event()
    shelf.journal.commit(Entries(invocations=[first, second]), then=done.set)
    assert done.wait(10)
    shelf.engine.submit([first])
    shelf.end(first)  # nobody waits for that to be on disk, so it lingers
    shelf.engine.submit([second])
    shelf.end(second)
    assert journey.of("tank-0") == [0, 1]


def test_order_holds_through_the_disk_and_restarts(
    shelf: Shelf, journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(line.Line.__init__.__kwdefaults__, "most_tasks", 25)  # type: ignore[arg-type]
    shelf.declare("f", isolation="shared", pool=PoolSpec(3, 3), ordered=True, retry=RetrySpec(attempts=10))
    shelf.start()
    journey.dice = random.Random(2)
    events = [event(device, number) for number in range(60) for device in DEVICES]
    for part in range(3):
        for begin in range(100 * part, 100 * part + 100, 20):
            shelf.record(*events[begin : begin + 20])
        if part < 2:
            shelf.stop()
            shelf.start()
    for each in events:
        assert shelf.end(each).state == "answered"
    assert {device: journey.of(device) for device in DEVICES} == {device: list(range(60)) for device in DEVICES}
    assert journey.together == 1
    assert shelf.engine.stats.overflowed["f"] > 0


def test_a_redriven_dead_letter_goes_to_the_end_on_disk_too(
    shelf: Shelf, journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.start()
    journey.failing = {"tank-0"}
    dead = event("tank-0", 0)
    shelf.record(dead)
    shelf.end(dead)
    assert shelf.journal.flush()
    shelf.engine.close()
    later = [event("tank-0", number) for number in (1, 2)]
    done = threading.Event()
    shelf.journal.commit(Entries(invocations=later))
    shelf.journal.redrive(dead.id, "f", int(time.time() * 1000))
    shelf.journal.commit(Entries(invocations=[event("tank-0", 3)]), then=done.set)
    assert done.wait(10)
    shelf.stop()
    journey.failing = set()
    journey.given.clear()
    shelf.start()
    eventually(lambda: len(journey.given) == 4)
    assert journey.of("tank-0") == [1, 2, 0, 3]


def test_a_function_becomes_ordered_and_stops_being_so_while_events_flow(shelf: Shelf, journey: Journey) -> None:
    shelf.start()
    events = [event(device, number) for number in range(30) for device in DEVICES]
    for begin in range(0, len(events), 10):
        shelf.record(*events[begin : begin + 10])
        shelf.declare(
            "f", isolation="shared", pool=PoolSpec(3, 3), ordered=begin % 20 == 0, retry=RetrySpec(attempts=3)
        )
        shelf.engine.replace(shelf.functions)
    for each in events:
        assert shelf.end(each).state == "answered"
    assert sorted(journey.given) == sorted((device, number) for device in DEVICES for number in range(30))
