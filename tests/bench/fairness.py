"""Who waits for whom: 1,000 events at once on a pool of 4, and one function's latency while another is flooded.

Real parts: journal on disk, Runtime API over loopback, unmodified clients as processes. The burst's ideal is four workers that
never wait: its longest wait divided by four workers' time for the events before the last. The second function is measured
idle and flooded in turns within one run, and what counts is the quotient of the two; flooded, the other function has
hundreds of events waiting all the time.
"""

from __future__ import annotations

import itertools
import logging
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.domain.function import PoolSpec
from edge_agent.domain.invocation import Invocation, Settlement
from edge_agent.ports import Entries
from tests.bench.figures import Figure
from tests.bench.probe import percentile
from tests.functions.contract import builds
from tests.functions.shelf import Shelf

POOL = 4
SLEEP = 0.02
"""Seconds each event of the burst takes: a call to something on the LAN."""
PAUSE = 0.01
"""Seconds between two events of the second function."""
AHEAD = 400
"""Events of the flooded function that wait at any time."""
CPU = 2.0
"""Cores a worker may use: what holds it back must be us, not its own limit."""
EVENT = {"specversion": "1.0", "source": "/edge/bench", "type": "bench", "data": {"device": "tank-1", "value": 18.2}}


def run(quick: bool = False) -> dict[str, Any]:
    """`{"burst": {"longest", "late", ...}, "second": {flood: {"ratio", "idle_ms", "flooded_ms", "flood_per_second"}}}`."""
    logging.getLogger("edge_agent").setLevel(logging.ERROR)
    sys.setswitchinterval(0.001)  # as the agent does
    echo = str(builds.echo() / "function")
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/var/tmp") as folder:
        shelf = Shelf(Path(folder))
        text = f"import time\ndef main(event, context):\n    time.sleep({SLEEP})\n"
        shelf.python("slow", text, isolation="shared", pool=PoolSpec(POOL, POOL), cpu=CPU)
        shelf.declare("quick", command=(echo,), isolation="shared", pool=PoolSpec(POOL, POOL), cpu=CPU)
        shelf.shell("fresh", """echo '{"ok":true}'""", isolation="pod", pool=PoolSpec(2, POOL), cpu=CPU)
        shelf.declare("second", command=(echo,), isolation="shared", pool=PoolSpec(1, 1), cpu=CPU)
        shelf.start()
        try:
            floor = _Floor(shelf)
            for name in ("slow", "quick"):
                shelf.idle(name, POOL)
            rounds, count = (2, 100) if quick else (15, 200)
            return {
                "burst": floor.burst("slow", 300 if quick else 1000),
                "second": {name: floor.second("second", name, rounds, count) for name in ("quick", "fresh")},
            }
        finally:
            shelf.stop()


def figures(result: dict[str, Any]) -> list[Figure]:
    burst, second = result["burst"], result["second"]
    return [
        Figure(
            f"{burst['events']:,} events at once on a pool of {POOL}: longest wait beyond the ideal",
            (burst["longest"] - 1) * 100, "%", 10, 3,
            detail=f"{burst['waited_s']:.2f} s; {SLEEP * 1000:g} ms each, unmodified awslambdaric",
        ),
        Figure("... events that started out of order", burst["late"] * 100, "%", 10, 3),
        *(
            Figure(
                f"a second function's latency while the first is flooded ({words}), p99 to its idle p99",
                found["ratio"], "x", 2, 1.3,
                detail=f"{found['flooded_ms']['p99']:.1f} to {found['idle_ms']['p99']:.1f} ms, medians "
                f"{found['flooded_ms']['p50']:.1f} to {found['idle_ms']['p50']:.1f} ms; the flood: "
                f"{found['flood_per_second']:,.0f} a second",
            )
            for words, found in (("four shared workers", second["quick"]), ("a fresh process each", second["fresh"]))
        ),
    ]  # fmt: skip


class _Floor:
    """Events in, settlements out, by function."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._numbers = itertools.count()
        self._heard: dict[str, Callable[[Settlement], None]] = {}
        shelf.settlements.clear()
        shelf.engine.listeners[:] = [lambda settled, _invocation: self._heard[settled.function](settled)]

    def send(self, function: str, count: int) -> list[str]:
        """Record events and have them dispatched, as the pipeline does; their ids, in order."""
        events = []
        for _ in range(count):
            id = f"tank-1/b/{next(self._numbers)}/bench"
            events.append(Invocation(id, function, msgspec.json.encode(EVENT | {"id": id}), int(time.time() * 1000)))
        self._shelf.journal.commit(Entries(invocations=events), then=lambda: self._shelf.engine.submit(events))
        return [event.id for event in events]

    def burst(self, function: str, count: int) -> dict[str, Any]:
        """`longest`: the longest wait as a multiple of the ideal; `late`: the share that started before an earlier one."""
        ended: list[Settlement] = []
        done = threading.Event()

        def heard(settled: Settlement) -> None:
            ended.append(settled)
            if len(ended) == count:
                done.set()

        self._heard[function] = heard
        ids = self.send(function, count)
        if not done.wait(300):
            raise TimeoutError(f"{len(ended)} of {count} have ended; {self._shelf.engine.status()}")
        attempts = {settled.id: settled.attempt for settled in ended}
        begun = [attempts[id].handed_over for id in ids]
        busy = [attempts[id].answered - attempts[id].handed_over for id in ids]
        waited = max(begun) - min(attempts[id].dispatched for id in ids)
        ideal = statistics.fmean(busy) * (count - POOL) / POOL
        late = sum(1 for place in range(POOL, count) if begun[place] < max(begun[: place - POOL + 1]))
        return {"events": count, "longest": waited / ideal, "late": late / count, "waited_s": waited / 1000}

    def second(self, function: str, flooded: str, rounds: int, count: int) -> dict[str, Any]:
        """Its latency alone and beside a flood, in turns."""
        idle: list[float] = []
        beside: list[float] = []
        through, seconds = 0, 0.0
        self._one_by_one(function, 20)
        for _ in range(rounds):
            idle += self._one_by_one(function, count)
            with self._flood(flooded) as passed:
                before, begun = passed(), time.monotonic()
                beside += self._one_by_one(function, count)
                through += passed() - before
                seconds += time.monotonic() - begun
        return {
            "ratio": percentile(beside, 0.99) / percentile(idle, 0.99),
            "idle_ms": {"p50": percentile(idle, 0.5), "p99": percentile(idle, 0.99)},
            "flooded_ms": {"p50": percentile(beside, 0.5), "p99": percentile(beside, 0.99)},
            "flood_per_second": through / seconds,
        }

    def _one_by_one(self, function: str, count: int) -> list[float]:
        """Milliseconds from the commit's begin to the answer, of events that come alone."""
        took: list[float] = []
        done = threading.Event()
        begun = 0.0

        def heard(_settled: Settlement) -> None:
            took.append((time.perf_counter() - begun) * 1000)
            done.set()

        self._heard[function] = heard
        for _ in range(count):
            done.clear()
            begun = time.perf_counter()
            self.send(function, 1)
            if not done.wait(60):
                raise TimeoutError(f"no answer from {function}; {self._shelf.engine.status()}")
            time.sleep(PAUSE)
        return took

    @contextmanager
    def _flood(self, function: str) -> Iterator[Callable[[], int]]:
        """Keep `AHEAD` events of it waiting; gives how many have ended so far."""
        ended = sent = 0
        ebb = threading.Event()
        stop = threading.Event()

        def heard(_settled: Settlement) -> None:
            nonlocal ended
            ended += 1
            if sent - ended < AHEAD or ended == sent:
                ebb.set()

        def keep() -> None:
            nonlocal sent
            while not stop.is_set():
                sent += AHEAD // 4
                self.send(function, AHEAD // 4)
                if sent - ended >= AHEAD:
                    ebb.clear()
                    ebb.wait(1.0)

        self._heard[function] = heard
        feeder = threading.Thread(target=keep, name="flood", daemon=True)
        feeder.start()
        try:
            while ended < AHEAD // 10:
                time.sleep(0.01)
            yield lambda: ended
        finally:
            stop.set()
            feeder.join()
            while ended < sent:
                time.sleep(0.01)


if __name__ == "__main__":
    for figure in figures(run(quick=True)):
        print(f"{figure.what}: {figure.said(figure.value)} ({figure.verdict}; {figure.detail})")
