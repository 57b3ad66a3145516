"""One event at a time: a fresh pod from the pool and a pod from nothing, beside a pod created and watched.

The three take turns, so that whatever else the machine does meets all of them. The pool is full again before the next event:
what comes faster than that is in the tables.
"""

from __future__ import annotations

import statistics
from typing import Any

from tests.bench.cluster.naive import Naive
from tests.bench.cluster.stand import IMAGE, NAMESPACE, Stand
from tests.bench.figures import Figure
from tests.bench.probe import percentile

POOL = 4


def run(quick: bool = False) -> dict[str, Any]:
    """`{"pool": [ms], "cold": [ms], "naive": [ms]}`."""
    rounds = 4 if quick else 25
    found: dict[str, list[float]] = {"pool": [], "cold": [], "naive": []}
    with Stand() as stand:
        naive = Naive(stand.cluster.kubeconfig, NAMESPACE, IMAGE)
        naive.one()  # what is loaded for the first time
        for _ in range(rounds):
            found["naive"].append(naive.one().answered)
            found["cold"] += stand.burst("pod", 1).took
            for _ in range(POOL):
                stand.fill("pod", POOL)
                found["pool"] += stand.burst("pod", 1).took
            stand.empty("pod")
    return found


def figures(result: dict[str, Any]) -> list[Figure]:
    pool, cold, naive = (statistics.median(result[name]) for name in ("pool", "cold", "naive"))
    many = len(result["pool"])
    return [
        Figure(
            "fresh pod for each event, from the pool: how many times faster than create-and-watch, p50", naive / pool, "x",
            100, 300, more_is_better=True,
            detail=f"{pool:.1f} ms (p99 {percentile(result['pool'], 0.99):.1f}, {many} events) to {naive:,.0f} ms",
        ),
        Figure(
            "... with no pod waiting: its time as a share of create-and-watch, p50", cold / naive * 100, "%", 100 / 3, 20,
            detail=f"{cold:,.0f} ms (p99 {percentile(result['cold'], 0.99):,.0f}) to {naive:,.0f} ms",
        ),
    ]  # fmt: skip
