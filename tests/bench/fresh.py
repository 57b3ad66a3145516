"""What a fresh process for each event costs: latency, throughput, and processor time of agent, keeper and worker.

Real parts, as in `functions.py`; the function is ten lines of busybox shell, whose two `wget` are most of its own time.
`pod` starts a worker anew for each event, `process` keeps its place. The workers may use a whole core each, else their own
limit (`cpu`) is what is measured.
"""

from __future__ import annotations

import logging
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from edge_agent.adapters.run_process import ProcessRunner
from edge_agent.domain.function import PoolSpec
from tests.bench.figures import Figure
from tests.bench.functions import Bench, at_once, one_by_one
from tests.functions.shelf import Shelf

TICK = 1000 / os.sysconf("SC_CLK_TCK")
IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where workers' folders are on an appliance."""


def keeper_ms(pid: int) -> tuple[float, float]:
    """Processor time in ms of the process that starts workers, and of all workers it has seen the end of (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * TICK, (int(fields[13]) + int(fields[14])) * TICK


def run(quick: bool = False) -> dict[str, Any]:
    """{"pod": ..., "process": ...}: each {"p50_ms", "p99_ms", "per_second", "agent_cpu_ms", "keeper_cpu_ms", "worker_cpu_ms"}
    and {"limits": text}."""
    logging.getLogger("edge_agent").setLevel(logging.ERROR)
    results: dict[str, Any] = {}
    for isolation in ("pod", "process"):
        with tempfile.TemporaryDirectory(prefix="edge-bench-", dir=IN_MEMORY) as folder:
            shelf = Shelf(Path(folder))
            pool = PoolSpec(min_idle=2, max_workers=4)
            shelf.shell("fresh", """echo '{"ok":true}'""", isolation=isolation, pool=pool, cpu=1.0)
            shelf.start()
            try:
                results[isolation] = measure(shelf, quick)
                runner = shelf.engine.runner
                assert isinstance(runner, ProcessRunner)
                results["limits"] = runner.limits
            finally:
                shelf.stop()
    return results


def measure(shelf: Shelf, quick: bool) -> dict[str, float]:
    bench = Bench(shelf)
    runner = shelf.engine.runner
    assert isinstance(runner, ProcessRunner)
    shelf.idle("fresh", 2)
    alone = one_by_one(bench, "fresh", 100 if quick else 400, 0.02)
    rounds = []
    for _ in range(1 if quick else 3):
        time.sleep(0.5)
        before, count = keeper_ms(runner.keeper), 400 if quick else 1000
        burst = at_once(bench, "fresh", count)
        after = keeper_ms(runner.keeper)
        spent = [(now - then) / count for then, now in zip(before, after, strict=True)]
        rounds.append((burst["per_second"], burst["cpu_ms"], *spent))
    middle = [statistics.median(values) for values in zip(*rounds, strict=True)]
    names = ("per_second", "agent_cpu_ms", "keeper_cpu_ms", "worker_cpu_ms")
    return {"p50_ms": alone["p50_ms"], "p99_ms": alone["p99_ms"]} | dict(zip(names, middle, strict=True))


def figures(result: dict[str, Any]) -> list[Figure]:
    pod, process = result["pod"], result["process"]

    def spent(of: dict[str, float]) -> str:
        return (
            f"CPU per event: agent {of['agent_cpu_ms']:.2f} ms, starting and ending it {of['keeper_cpu_ms']:.2f} ms, "
            f"the worker itself {of['worker_cpu_ms']:.2f} ms; limits by {result['limits']}"
        )

    return [
        Figure("fresh worker from the pool, busybox shell, p50", pod["p50_ms"], "ms", 5, 3, detail=f"p99 {pod['p99_ms']} ms"),
        Figure("fresh workers, busybox shell, 4 at a time", pod["per_second"], "/s", more_is_better=True, detail=spent(pod)),
        Figure(
            "isolation process, busybox shell, p50", process["p50_ms"], "ms", 6, 3, detail=f"p99 {process['p99_ms']} ms"
        ),
        Figure(
            "isolation process, busybox shell, 4 at a time", process["per_second"], "/s", 200, 400, more_is_better=True,
            detail=spent(process),
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    from tests.bench import figures as table
    from tests.bench import machine

    table.show(figures(run()), machine.line())
