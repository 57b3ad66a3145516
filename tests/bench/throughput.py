"""How many invocations a second one agent carries with four `shared` workers in Go, and what each costs it.

Recorded, dispatched, answered, settled: journal on disk, Runtime API over loopback, unmodified aws-lambda-go. The processor
time is that of the agent's process, user and system: engine, Runtime API, journal; the workers' own is not in it.
"""

from __future__ import annotations

import logging
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.domain.function import PoolSpec
from edge_agent.domain.invocation import Invocation, Settlement
from edge_agent.ports import Entries
from tests.bench.figures import Figure
from tests.bench.functions import EVENT, cpu_ms
from tests.functions.contract import builds
from tests.functions.shelf import Shelf

WORKERS = 4
PIECE = 100
"""Events of one commit."""


def run(quick: bool = False) -> dict[str, Any]:
    """`{"per_second", "cpu_ms", "rounds": [[per second, ms], ...], "events"}`: medians of the rounds."""
    logging.getLogger("edge_agent").setLevel(logging.ERROR)
    sys.setswitchinterval(0.001)  # as the agent does
    rounds, count = (3, 2000) if quick else (7, 5000)
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/var/tmp") as folder:
        shelf = Shelf(Path(folder))
        echo = (str(builds.echo() / "function"),)
        shelf.write("README", "where the workers begin")
        shelf.declare("echo", command=echo, isolation="shared", pool=PoolSpec(WORKERS, WORKERS), cpu=2.0)
        shelf.start()
        try:
            shelf.idle("echo", WORKERS)
            burst = _Burst(shelf)
            burst.run("warm", 500)
            found = [burst.run(str(number), count) for number in range(rounds)]
        finally:
            shelf.stop()
    rates, costs = zip(*found, strict=True)
    return {
        "per_second": statistics.median(rates), "cpu_ms": statistics.median(costs), "rounds": found, "events": count,
    }  # fmt: skip


def figures(result: dict[str, Any]) -> list[Figure]:
    rates = sorted(rate for rate, _ in result["rounds"])
    costs = sorted(cost for _, cost in result["rounds"])
    detail = f"{len(rates)} rounds of {result['events']:,} events"
    return [
        Figure(
            "invocations through one agent, four shared Go workers, two cores", result["per_second"], "/s", 1500, 3000,
            more_is_better=True, detail=f"{detail}: {rates[0]:,.0f} to {rates[-1]:,.0f}",
        ),
        Figure(
            "... agent CPU per invocation", result["cpu_ms"], "ms", 0.5, 0.2,
            detail=f"{costs[0]:.2f} to {costs[-1]:.2f} ms; recording and settling included",
        ),
    ]  # fmt: skip


class _Burst:
    """Events that come together."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._left = 0
        self._done = threading.Event()
        shelf.engine.listeners[:] = [lambda settled, _invocation: self._heard(settled)]

    def _heard(self, settled: Settlement) -> None:
        assert settled.state == "answered", settled
        self._left -= 1
        if not self._left:
            self._done.set()

    def run(self, name: str, count: int) -> tuple[float, float]:
        """(invocations a second, ms of processor time for each) of `count` events, until the last one is settled on disk."""
        self._left = count
        self._done.clear()
        pieces = [
            [_event(f"tank-1/{name}/{number}/bench") for number in range(begin, min(begin + PIECE, count))]
            for begin in range(0, count, PIECE)
        ]
        spent, begun = cpu_ms(), time.perf_counter()
        for piece in pieces:
            self._record(piece)
        if not self._done.wait(300):
            raise TimeoutError(f"{self._left} of {count} have no answer; {self._shelf.engine.status()}")
        seconds = time.perf_counter() - begun
        self._shelf.journal.flush()
        return count / seconds, (cpu_ms() - spent) / count

    def _record(self, events: list[Invocation]) -> None:
        self._shelf.journal.commit(Entries(invocations=events), then=lambda: self._shelf.engine.submit(events))


def _event(id: str) -> Invocation:
    return Invocation(id, "echo", msgspec.json.encode(EVENT | {"id": id}), int(time.time() * 1000))


if __name__ == "__main__":
    for figure in figures(run(quick=True)):
        print(f"{figure.what}: {figure.said(figure.value)} ({figure.verdict}; {figure.detail})")
