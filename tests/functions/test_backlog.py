"""Events that wait on disk: memory is bounded, others are not held up, and what is there when a function goes ends too."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_agent.domain.function import PoolSpec
from edge_agent.domain.invocation import Invocation
from edge_agent.engine.functions.line import MOST_BYTES
from edge_agent.ports import Entries
from edge_agent.testing import FakeRunner, FakeWorker
from tests.functions.shelf import Shelf
from tests.waiting import eventually

COUNT, SIZE = 3000, 16 * 1024
"""Events of the backlog, and bytes of each: three times what may be in memory."""


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    def wait(event: Any, worker: FakeWorker) -> Any:
        worker.killed.wait()
        raise SystemExit(1)

    def echo(event: Any, worker: FakeWorker) -> Any:
        return event["data"]

    handlers = {"wait": wait, "echo": echo}
    shelf = Shelf(tmp_path, runner=lambda loop, server, engine: FakeRunner(loop, server, engine, handlers))
    shelf.declare("echo", isolation="shared", pool=PoolSpec(1, 1))
    shelf.start()
    done = threading.Event()
    shelf.journal.commit(Entries(invocations=[large(number) for number in range(COUNT)]), then=done.set)
    assert done.wait(60)
    shelf.stop()
    shelf.declare("wait", isolation="shared", pool=PoolSpec(1, 1))
    yield shelf
    shelf.stop()


def large(number: int) -> Invocation:
    return Invocation(f"e{number}", "wait", msgspec.json.encode({"pad": "x" * SIZE}), int(time.time() * 1000))


def resident() -> int:
    """Bytes of this process that are in memory (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def held(shelf: Shelf) -> int:
    """Bytes of events in memory."""
    known = shelf.engine._roster.crews["wait"].line.known
    return shelf.loop.ask(lambda: sum(len(task.invocation.event) for task in known.values()))


def test_what_an_earlier_life_left_does_not_fill_the_memory(shelf: Shelf) -> None:
    before = resident()
    shelf.start()
    eventually(lambda: shelf.engine.status()["wait"]["workers"]["busy"] == 1)
    assert shelf.answer("echo", 5) == 5
    eventually(lambda: held(shelf) > MOST_BYTES // 4)
    assert held(shelf) < MOST_BYTES
    assert shelf.engine.status()["wait"]["on_disk"]
    assert resident() - before < COUNT * SIZE * 3 // 4


def test_a_backlog_of_a_function_that_is_deleted_ends_to_the_last(shelf: Shelf) -> None:
    shelf.start()
    eventually(lambda: shelf.engine.status()["wait"]["workers"]["busy"] == 1)
    del shelf.functions["wait"]
    shelf.engine.replace(shelf.functions)
    eventually(lambda: len(shelf.settlements) >= COUNT - 1, timeout=60)  # one is held by a worker, which may finish
    kinds = {settled.outcome.kind for settled in shelf.settlements}  # type: ignore[union-attr]
    assert kinds == {"no-function"}
    assert shelf.answer("echo", 5) == 5


def test_a_backlog_of_a_function_that_is_not_there_any_more_ends_at_the_start(shelf: Shelf) -> None:
    del shelf.functions["wait"]
    shelf.start()
    eventually(lambda: len(shelf.settlements) == COUNT, timeout=60)
    assert shelf.journal.flush()
    assert shelf.journal.unfinished()[1] == []
