"""What it costs to run a function: from `submit` to its settlement, and the agent's CPU for it.

Real parts: journal on disk, Runtime API over loopback, unmodified `awslambdaric` in a shared worker, a fresh busybox
process per event. `run()` gives the figures; `python -m tests.bench.functions` prints them.
"""

from __future__ import annotations

import logging
import resource
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge_agent.domain.function import FunctionSpec, PoolSpec
from edge_agent.domain.invocation import Invocation, Settlement
from edge_agent.engine.functions.loop import Loop
from tests.functions.shelf import Shelf

EVENT = {"specversion": "1.0", "source": "/edge/bench", "type": "bench", "data": {"device": "tank-1", "value": 18.2}}


@dataclass
class Bench:
    """One shelf and its events, told apart by number."""

    shelf: Shelf

    def __post_init__(self) -> None:
        self._number = 0
        self._left = 0
        self._done = threading.Event()
        self.took: list[float] = []
        """Milliseconds from `submit` to the settlement, as its listener hears of it."""
        self._began: dict[str, float] = {}
        self.shelf.engine.listeners.append(self._heard)

    def _heard(self, settled: Settlement, _invocation: Invocation) -> None:
        assert settled.state == "answered", settled
        self.took.append((time.perf_counter() - self._began.pop(settled.id)) * 1000)
        self._left -= 1
        if self._left == 0:
            self._done.set()

    def send(self, function: str, count: int = 1) -> None:
        """Submit `count` events at once and wait until all are answered."""
        self._done.clear()
        self._left = count
        invocations = []
        for _ in range(count):
            self._number += 1
            id = f"tank-1/b/{self._number}/bench"
            body = msgspec.json.encode(EVENT | {"id": id})
            invocations.append(Invocation(id, function, body, int(time.time() * 1000)))
        begun = time.perf_counter()
        self._began |= dict.fromkeys((invocation.id for invocation in invocations), begun)
        self.shelf.engine.submit(invocations)
        if not self._done.wait(120):
            raise TimeoutError(f"{self._left} of {count} events have no answer; {self.shelf.engine.status()}")


def cpu_ms() -> float:
    """What this process has used so far, user and system; its children not."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1000


def one_by_one(bench: Bench, function: str, count: int, pause: float) -> dict[str, float]:
    """Latency of events that come alone; `pause` seconds between two."""
    bench.send(function)
    bench.took.clear()
    before = cpu_ms()
    for _ in range(count):
        bench.send(function)
        time.sleep(pause)
    cpu = cpu_ms() - before
    took = sorted(bench.took)
    return {
        "p50_ms": round(statistics.median(took), 2),
        "p99_ms": round(took[int(len(took) * 0.99)], 2),
        "cpu_ms": round(cpu / count, 3),
    }


def at_once(bench: Bench, function: str, count: int) -> dict[str, float]:
    """Throughput of events that come together."""
    before, begun = cpu_ms(), time.perf_counter()
    bench.send(function, count)
    seconds = time.perf_counter() - begun
    return {"per_second": round(count / seconds), "cpu_ms": round((cpu_ms() - before) / count, 3)}


def declare(shelf: Shelf) -> dict[str, FunctionSpec]:
    text = "def main(event, context):\n    return {'got': event['id']}\n"
    return {
        "shared": shelf.python("shared", text, isolation="shared", pool=PoolSpec(1, 1)),
        "fresh": shelf.shell("fresh", """echo '{"ok":true}'""", pool=PoolSpec(2, 4)),
    }


def run(scale: float = 1.0) -> dict[str, dict[str, float]]:
    """{"shared": ..., "shared_burst": ..., "fresh": ..., "fresh_burst": ...}; `scale` shortens or lengthens it."""
    logging.getLogger("edge_agent").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
        shelf = Shelf(Path(folder))
        declare(shelf)
        shelf.start()
        try:
            bench = Bench(shelf)
            return {
                "shared": one_by_one(bench, "shared", int(1000 * scale), 0.0),
                "shared_burst": at_once(bench, "shared", int(3000 * scale)),
                "fresh": one_by_one(bench, "fresh", int(200 * scale), 0.02),
                "fresh_burst": at_once(bench, "fresh", int(300 * scale)),
                "loop_turn": {"us": round(turn_us(shelf.loop), 1)},
            }
        finally:
            shelf.stop()


def turn_us(loop: Loop, count: int = 2000) -> float:
    """Microseconds from one thread's post to the loop's call, waking it each time: the floor under every latency."""
    done = threading.Event()
    took = []
    for _ in range(count):
        done.clear()
        begun = time.perf_counter()
        loop.post(done.set)
        done.wait()
        took.append((time.perf_counter() - begun) * 1e6)
    return statistics.median(took)


if __name__ == "__main__":
    for name, figures in run().items():
        print(f"{name:14}", "  ".join(f"{key} {value:g}" for key, value in figures.items()))
