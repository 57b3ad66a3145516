"""Nothing leaks: what is held before and after many events of each isolation, some of which fail or kill their worker.

`EDGE_LEAK_EVENTS=2000` for the whole of it.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from edge_agent.adapters.run_process import ProcessRunner
from edge_agent.domain.function import PoolSpec, RetrySpec
from edge_agent.domain.invocation import Invocation
from tests.functions import kills
from tests.functions.shelf import Shelf
from tests.waiting import eventually

EVENTS = int(os.environ.get("EDGE_LEAK_EVENTS", "150"))
"""Of each isolation."""


def held(shelf: Shelf) -> Counter[str]:
    """What the agent, its keeper and its workers have of this machine, and what the engine remembers."""
    runner, engine = shelf.engine.runner, shelf.engine
    assert isinstance(runner, ProcessRunner)
    mark = f"edge-{ProcessRunner.mark_of(shelf.folder / 'workers')}"
    crews = engine._roster.crews.values()
    return Counter(
        {
            "processes": len(kills.workers(str(shelf.folder))),
            "sockets": len([fd for fd in Path("/proc/self/fd").iterdir() if _is_socket(fd)]),
            "files": len(list(Path("/proc/self/fd").iterdir())),
            "files of the keeper": len(list(Path(f"/proc/{runner.keeper}/fd").iterdir())),
            "temporary folders": len(list((shelf.folder / "workers").iterdir())),
            "control groups": sum(at.endswith(mark) or mark in at for at, _, _ in os.walk("/sys/fs/cgroup")),
            "threads": threading.active_count(),
            "workers": len(engine._workers) + sum(len(crew.staff.workers) for crew in crews),
            "tasks": sum(len(crew.line.known) for crew in crews) + len(engine._inbox._arrived),
            "doors": len(shelf.server._doors),
            "watched": len(shelf.loop._ready),
        }
    )


def _is_socket(fd: Path) -> bool:
    try:
        return str(fd.readlink()).startswith("socket:")
    except OSError:
        return False  # it was the listing's own


@pytest.mark.timeout(120 + EVENTS)
@pytest.mark.parametrize("isolation", ["pod", "process", "shared"])
def test_nothing_is_left_of_many_events(shelf: Shelf, isolation: str) -> None:
    shelf.write("main.sh", kills.WORKER)
    env = {"NOTES": str(shelf.folder), "MANY": "yes" if isolation == "shared" else ""}
    command, pool = ("/bin/busybox", "sh", "main.sh"), PoolSpec(min_idle=2, max_workers=2)
    retry = RetrySpec(attempts=1)
    shelf.declare("f", command=command, isolation=isolation, pool=pool, env=env, cpu=2.0, retry=retry)
    shelf.start()

    numbers = itertools.count()

    def run(count: int) -> None:
        shelf.settlements.clear()
        ends = [{3: "/fails", 7: "/dies"}.get(number % 20, "") for number in range(count)]
        sent = [event(f"{next(numbers)}{end}") for end in ends]
        shelf.record(*sent)
        eventually(lambda: len(shelf.settlements) == count, timeout=60 + count)
        kinds = Counter(getattr(settled.outcome, "kind", "answered") for settled in shelf.settlements)
        assert kinds["function-error"] == ends.count("/fails")
        assert kinds["worker-lost"] == ends.count("/dies")
        eventually(lambda: shelf.engine.status()["f"]["workers"] == {"starting": 0, "idle": 2, "busy": 0, "ending": 0})

    run(20)
    before = held(shelf)
    assert before["doors"] == before["workers"] / 2 == 2
    run(EVENTS)

    def no_more() -> bool:
        now = held(shelf)
        assert now <= before, dict(now - before)
        return True

    eventually(no_more)


def event(id: str) -> Invocation:
    return Invocation(id, "f", msgspec.json.encode({"id": id}), int(time.time() * 1000))
