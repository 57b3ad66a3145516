"""The engine's promises: at least once, on disk before the hand-over, bounded in memory, across restarts and versions."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_agent.domain.function import PoolSpec, RetrySpec
from edge_agent.domain.invocation import Failed, Invocation, Outcome, Settlement, Succeeded
from edge_agent.engine.functions import line
from edge_agent.ports import Entries
from edge_agent.testing import FakeRunner, FakeWorker
from tests.functions.shelf import Shelf
from tests.waiting import eventually

FAST = PoolSpec(min_idle=1, max_workers=2)


class Handlers(dict[str, Any]):
    """The functions of these tests, and how often each event was handed to them."""

    def __init__(self) -> None:
        super().__init__(echo=self.echo, fail=self.fail, wait=self.wait, second=self.second)
        self.seen: Counter[str] = Counter()
        self.go = threading.Event()

    def echo(self, event: Any, _worker: FakeWorker) -> Any:
        self.seen[event["id"]] += 1
        return event["data"]

    def fail(self, event: Any, _worker: FakeWorker) -> Any:
        self.seen[event["id"]] += 1
        raise RuntimeError("always")

    def second(self, event: Any, _worker: FakeWorker) -> Any:
        """Answers at the second attempt."""
        self.seen[event["id"]] += 1
        if self.seen[event["id"]] == 1:
            raise RuntimeError("not yet")
        return "at last"

    def wait(self, event: Any, worker: FakeWorker) -> Any:
        self.seen[event["id"]] += 1
        while not self.go.is_set():
            if worker.killed.wait(0.005):
                raise SystemExit(1)
        return event["data"]


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


@pytest.fixture
def fakes(tmp_path: Path, handlers: Handlers) -> Iterator[Shelf]:
    def make(loop: Any, server: Any, engine: Any) -> FakeRunner:
        return FakeRunner(loop, server, engine, handlers)

    shelf = Shelf(tmp_path, runner=make)
    for name in handlers:
        shelf.declare(name, isolation="shared", pool=FAST)
    yield shelf
    handlers.go.set()
    shelf.stop()


def test_an_attempt_is_on_disk_before_it_is_handed_over_again(fakes: Shelf, handlers: Handlers) -> None:
    fakes.start()
    seen: list[int] = []
    handlers["second"] = lambda event, worker: (
        seen.append(attempts(fakes, event["id"])) or handlers.second(event, worker)
    )
    assert fakes.answer("second") == "at last"
    assert seen == [1, 2]


def attempts(shelf: Shelf, id: str) -> int:
    (found,) = shelf.journal.invocation(id)
    return int(found["attempts"])


def test_the_event_is_the_same_on_every_attempt_and_the_request_is_not(fakes: Shelf, handlers: Handlers) -> None:
    fakes.declare("fail", isolation="shared", pool=FAST, retry=RetrySpec(attempts=2))
    fakes.start()
    invocation = fakes.send("fail")
    fakes.end(invocation)
    assert handlers.seen == {invocation.id: 2}
    assert len({settled.attempt.request_id for settled in fakes.settled(invocation)}) == 2


def test_what_was_running_when_the_agent_stopped_is_tried_again_once_it_is_back(
    fakes: Shelf, handlers: Handlers
) -> None:
    fakes.start()
    invocation = fakes.send("wait", 5)
    eventually(lambda: handlers.seen[invocation.id] == 1)
    fakes.stop()
    assert fakes.settled(invocation) == []
    handlers.go.set()
    fakes.start()
    assert fakes.outcome(invocation) == Succeeded(b"5")
    assert fakes.end(invocation).attempt.number == 2
    assert handlers.seen[invocation.id] == 2


def test_restarts_never_run_an_event_more_often_than_allowed(fakes: Shelf, handlers: Handlers) -> None:
    fakes.declare("wait", isolation="shared", pool=FAST, retry=RetrySpec(attempts=2))
    fakes.start()
    invocation = fakes.send("wait")
    for times in (1, 2):
        eventually(lambda times=times: handlers.seen[invocation.id] == times)  # type: ignore[misc]
        fakes.stop()
        fakes.start()
    failed = fakes.outcome(invocation)
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.reason) == (
        "interrupted",
        "the agent stopped during attempt 2 of 2; it may have run",
    )
    assert handlers.seen[invocation.id] == 2


def test_events_that_only_queued_lose_no_attempt_to_a_second_restart(fakes: Shelf, handlers: Handlers) -> None:
    fakes.declare("wait", isolation="shared", pool=PoolSpec(1, 1), retry=RetrySpec(attempts=3))
    fakes.start()
    invocations = [fakes.send("wait", number) for number in range(20)]
    for _ in range(4):
        fakes.stop()
        fakes.start()
        eventually(lambda: fakes.engine.status()["wait"]["workers"]["busy"])
    handlers.go.set()
    ended = Counter(fakes.end(invocation).state for invocation in invocations)
    assert ended["answered"] >= 18  # only what a worker held may have used up its attempts


def test_a_retry_that_is_due_later_waits_through_a_restart(fakes: Shelf, handlers: Handlers) -> None:
    fakes.start()
    invocation = fakes.send("second")
    eventually(lambda: fakes.settled(invocation))
    assert fakes.journal.flush()
    fakes.stop()
    due = fakes.settled(invocation)[0].due
    fakes.start()
    assert fakes.outcome(invocation) == Succeeded(b'"at last"')
    assert fakes.end(invocation).attempt.handed_over >= due - 1


def small_memory(monkeypatch: pytest.MonkeyPatch, tasks: int, size: int) -> None:
    """As much as a function's queue may hold."""
    monkeypatch.setitem(line.Line.__init__.__kwdefaults__, "most_tasks", tasks)  # type: ignore[arg-type]
    monkeypatch.setitem(line.Line.__init__.__kwdefaults__, "most_bytes", size)  # type: ignore[arg-type]


def test_a_flood_is_bounded_in_memory_and_loses_nothing(
    fakes: Shelf, handlers: Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_memory(monkeypatch, 50, 10_000_000)
    fakes.start()
    invocations = [event("echo", number) for number in range(1000)]
    fakes.record(*invocations)
    for invocation in invocations:
        fakes.end(invocation)
    fakes.journal.flush()
    assert fakes.journal.pending_invocations() == []
    assert handlers.seen == {invocation.id: 1 for invocation in invocations}
    assert all(settled.attempt.number == 1 for settled in fakes.settlements)
    assert fakes.engine.stats.overflowed["echo"] >= 900
    order = [settled.id for settled in sorted(fakes.settlements, key=lambda settled: settled.attempt.handed_over)]
    late = sum(1 for place, id in enumerate(order) if abs(int(id.split("/")[2]) - place) > 2)
    assert late == 0, "the order of the queue was lost on the way through the disk"


def test_a_flood_of_large_events_on_fresh_workers_from_zero_is_fetched_to_the_last(
    fakes: Shelf, handlers: Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_memory(monkeypatch, 50, 1)  # one event fills the memory
    fakes.declare("echo", isolation="pod", pool=PoolSpec(0, 2))
    fakes.start()
    invocations = [event("echo", number) for number in range(20)]
    fakes.record(*invocations)
    for invocation in invocations:
        fakes.end(invocation)
    assert handlers.seen == {invocation.id: 1 for invocation in invocations}


def test_a_flood_left_by_an_earlier_life_is_bounded_too_and_each_event_counted_right(
    fakes: Shelf, handlers: Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_memory(monkeypatch, 20, 10_000_000)
    fakes.start()
    fakes.engine.close()
    invocations = [event("echo", number) for number in range(200)]
    done = threading.Event()
    fakes.journal.commit(Entries(invocations=invocations), then=done.set)
    assert done.wait(30)
    fakes.stop()
    fakes.start()
    for invocation in invocations:
        assert fakes.end(invocation).attempt.number == 2
    assert handlers.seen == {invocation.id: 1 for invocation in invocations}


def event(function: str, number: int) -> Invocation:
    id = f"tank-1/b/{number}/flood"
    body = msgspec.json.encode({"id": id, "data": number})
    return Invocation(id, function, body, int(time.time() * 1000))


def test_posting_faster_than_the_engine_takes_loses_nothing(
    fakes: Shelf, handlers: Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.engine.functions.inbox.MOST_POSTED", 10)
    fakes.start()
    invocations = [event("echo", number) for number in range(300)]
    held = threading.Event()
    fakes.loop.post(held.wait)  # the engine is busy with something long
    try:
        for start in range(0, 300, 5):
            fakes.record(*invocations[start : start + 5])
    finally:
        held.set()
    for invocation in invocations:
        fakes.end(invocation)
    assert handlers.seen == {invocation.id: 1 for invocation in invocations}


def test_submitting_twice_runs_once(fakes: Shelf, handlers: Handlers) -> None:
    fakes.start()
    invocation = fakes.send("wait")
    fakes.engine.submit([invocation, invocation])
    eventually(lambda: handlers.seen[invocation.id] == 1)
    handlers.go.set()
    fakes.end(invocation)
    assert fakes.answer("echo", 1) == 1  # the engine has seen to all that was posted before
    assert handlers.seen[invocation.id] == 1


def test_an_event_for_no_function_is_a_dead_letter(fakes: Shelf) -> None:
    fakes.start()
    failed = fakes.failure("nobody")
    assert (failed.kind, failed.reason) == ("no-function", "there is no function nobody")


def test_deleting_a_function_ends_its_queue_and_lets_running_work_finish(fakes: Shelf, handlers: Handlers) -> None:
    fakes.declare("wait", isolation="shared", pool=PoolSpec(1, 1))
    fakes.start()
    running, queued = fakes.send("wait", 1), fakes.send("wait", 2)
    eventually(lambda: handlers.seen[running.id] == 1)
    fakes.engine.replace({name: spec for name, spec in fakes.functions.items() if name != "wait"})
    failed = fakes.outcome(queued)
    assert isinstance(failed, Failed)
    assert failed.kind == "no-function"
    handlers.go.set()
    assert fakes.outcome(running) == Succeeded(b"1")
    eventually(lambda: "wait" not in fakes.engine.status())
    assert fakes.failure("wait").kind == "no-function"


def test_a_new_version_while_events_flow_loses_none(fakes: Shelf, handlers: Handlers) -> None:
    fakes.start()
    invocations = []
    for number in range(60):
        invocations.append(fakes.send("echo", number))
        if number % 10 == 0:
            fakes.declare("echo", isolation="shared", pool=FAST, env={"VERSION": str(number)})
            fakes.engine.replace(fakes.functions)
    assert [fakes.outcome(one) for one in invocations] == [Succeeded(b"%d" % number) for number in range(60)]
    assert handlers.seen == {one.id: 1 for one in invocations}


def test_an_unchanged_function_keeps_its_workers_through_a_reload(fakes: Shelf) -> None:
    fakes.start()
    assert fakes.answer("echo", 1) == 1
    starts = fakes.engine.stats.starts["echo"]
    for _ in range(3):
        fakes.engine.replace(dict(fakes.functions))
        assert fakes.answer("echo", 1) == 1
    assert fakes.engine.stats.starts["echo"] == starts


def ask(shelf: Shelf, function: str, data: Any) -> Outcome:
    """Run one as an HTTP caller who waits does."""
    found: list[Outcome] = []
    done = threading.Event()

    def on_outcome(outcome: Outcome) -> None:
        found.append(outcome)
        done.set()

    invocation = Invocation(f"http/{function}", function, msgspec.json.encode({"id": "h", "data": data}), _now())
    recorded = threading.Event()
    shelf.journal.commit(Entries(invocations=[invocation]), then=recorded.set)
    assert recorded.wait(10)
    shelf.engine.invoke(invocation, on_outcome)
    assert done.wait(20)
    return found[0]


def _now() -> int:
    return int(time.time() * 1000)


def test_a_caller_who_waits_gets_the_answer(fakes: Shelf) -> None:
    fakes.start()
    assert ask(fakes, "echo", {"a": 1}) == Succeeded(b'{"a": 1}')


def test_a_caller_who_waits_gets_the_first_failure(fakes: Shelf, handlers: Handlers) -> None:
    fakes.start()
    failed = ask(fakes, "second", None)
    assert isinstance(failed, Failed)
    assert failed.reason == "RuntimeError: not yet"
    assert handlers.seen == {"h": 1}


def test_a_caller_who_asks_for_no_function_is_told(fakes: Shelf) -> None:
    fakes.start()
    failed = ask(fakes, "nobody", None)
    assert isinstance(failed, Failed)
    assert failed.kind == "no-function"


def test_a_redriven_dead_letter_has_all_its_attempts_again(fakes: Shelf, handlers: Handlers) -> None:
    fakes.declare("fail", isolation="shared", pool=FAST, retry=RetrySpec(attempts=2))
    fakes.start()
    invocation = fakes.send("fail")
    fakes.end(invocation)
    assert fakes.journal.flush()
    done = threading.Event()
    fakes.journal.redrive(invocation.id, "fail", _now(), then=done.set)
    assert done.wait(10)
    (again,) = fakes.journal.pending_invocations()
    fakes.engine.submit([again])
    eventually(lambda: [s.state for s in fakes.settled(invocation)] == ["waiting", "dead"] * 2)
    assert handlers.seen[invocation.id] == 4
    assert fakes.on_disk(invocation)["attempts"] == 2


def test_listeners_hear_every_settlement_and_a_broken_one_stops_nothing(fakes: Shelf) -> None:
    fakes.start()
    heard: list[Settlement] = []

    def broken(_settled: Settlement, _invocation: Invocation) -> None:
        raise RuntimeError("a listener's own trouble")

    fakes.engine.listeners.insert(0, broken)
    fakes.engine.listeners.append(lambda settled, _invocation: heard.append(settled))
    assert fakes.answer("echo", 1) == 1
    assert [settled.state for settled in heard] == ["answered"]


def test_what_is_counted(fakes: Shelf, handlers: Handlers) -> None:
    fakes.start()
    seconds: list[float] = []
    fakes.engine.stats.observe_duration = lambda _function, took: seconds.append(took)
    fakes.answer("echo", 1)
    fakes.answer("second")
    stats = fakes.engine.stats
    assert stats.invocations == {("echo", "succeeded"): 1, ("second", "function-error"): 1, ("second", "succeeded"): 1}
    assert stats.retries == {"second": 1}
    assert stats.dead == {}
    assert len(seconds) == 3
    phases = fakes.settlements[0].attempt
    assert phases.dispatched <= phases.handed_over <= phases.answered
    assert phases.init_ms > 0


def test_the_status_can_be_read_before_during_and_after(fakes: Shelf, handlers: Handlers) -> None:
    fakes.start()
    fakes.idle("wait")
    fakes.send("wait")
    eventually(lambda: fakes.engine.status()["wait"]["workers"]["busy"] == 1)
    fakes.stop()
    assert "wait" in fakes.engine.status()


def test_closing_with_grace_lets_running_work_end(fakes: Shelf, handlers: Handlers) -> None:
    fakes.start()
    invocation = fakes.send("wait", 3)
    eventually(lambda: handlers.seen[invocation.id] == 1)
    threading.Timer(0.1, handlers.go.set).start()
    fakes.engine.close(grace=20.0)
    assert fakes.on_disk(invocation)["state"] == "answered"
