"""The tables of 2021: 1, 10, 50 and 100 events at once, on 1, 3 and 5 nodes.

The nodes share this machine's processor; each has a quota of its own, so that more nodes are more processor, as they are on a
shelf. The control plane and the agent have none. Means over the events of a burst, from when all of them were there.
"""

from __future__ import annotations

import statistics
from typing import Any

from tests.bench.cluster.naive import Naive
from tests.bench.cluster.stand import IMAGE, NAMESPACE, Stand
from tests.bench.figures import Figure

NODES = (1, 3, 5)
COUNTS = (1, 10, 50, 100)
CPUS = 0.35
"""Seconds of processor time a second for each node: five have 1.75 of two cores."""
ROUNDS = {1: 5, 10: 3}
"""Bursts of a size, where one says little; else one."""
SMALL = 10
WAYS = ("naive", "pod, minIdle 10", "pod, minIdle = events", "process", "shared")


def run(nodes: int, quick: bool = False) -> dict[str, Any]:
    """`{events: {"naive": {"mean_ms", "running_ms", "deleting_ms"}, way: {"mean_ms", "seconds", "filled_s", "emptied_s"}}}`."""
    found: dict[str, Any] = {}
    with Stand(nodes, cpus=CPUS) as stand:
        naive = Naive(stand.cluster.kubeconfig, NAMESPACE, IMAGE)
        naive.one()
        for count in COUNTS[:2] if quick else COUNTS:
            ran = [each for _ in range(ROUNDS.get(count, 1)) for each in naive.burst(count)]
            row = found[str(count)] = {"naive": {
                "mean_ms": statistics.fmean(each.answered for each in ran),
                "running_ms": statistics.fmean(each.running for each in ran),
                "deleting_ms": statistics.fmean(each.deleting for each in ran),
            }}  # fmt: skip
            for way, function, waiting in (
                ("pod, minIdle 10", "pod", SMALL), ("pod, minIdle = events", "pod", count),
                ("process", "process", SMALL), ("shared", "shared", SMALL),
            ):  # fmt: skip
                row[way] = _burst(stand, function, waiting, count)
    return found


def _burst(stand: Stand, function: str, waiting: int, count: int) -> dict[str, float]:
    took, seconds = [], []
    filled = stand.fill(function, waiting)
    for _ in range(ROUNDS.get(count, 1)):
        stand.fill(function, waiting)
        burst = stand.burst(function, count)
        took += burst.took
        seconds.append(burst.seconds)
    return {
        "mean_ms": statistics.fmean(took), "seconds": statistics.fmean(seconds), "filled_s": filled,
        "emptied_s": stand.empty(function),
    }  # fmt: skip


def figures(result: dict[str, Any]) -> list[Figure]:
    worst = {way: max(((ratio, where) for ratio, where in _ratios(result, way)), default=(0.0, "")) for way in WAYS[1:]}
    bounds = {WAYS[1]: (1.0, None), WAYS[2]: (1 / 20, 1 / 50), WAYS[3]: (1 / 20, 1 / 50), WAYS[4]: (None, None)}
    return [
        Figure(
            f"events at once, {way}: mean time as a share of create-and-watch, worst of the table", worst[way][0] * 100, "%",
            must and must * 100, aim and aim * 100, detail=worst[way][1],
        )
        for way, (must, aim) in bounds.items()
    ]  # fmt: skip


def _ratios(result: dict[str, Any], way: str) -> list[tuple[float, str]]:
    return [
        (
            row[way]["mean_ms"] / row["naive"]["mean_ms"],
            f"{count} on {nodes}: {row[way]['mean_ms']:,.1f} to {row['naive']['mean_ms']:,.0f} ms",
        )
        for nodes, rows in result.items()
        for count, row in rows.items()
    ]


def markdown(result: dict[str, Any]) -> str:
    """The tables themselves, for k3s/README.md."""
    head = ("nodes", "events at once", *WAYS, "pod runs", "pod deleted", "pool of that size filled")
    lines = [f"| {' | '.join(head)} |", "|" + "---:|" * len(head)]
    for nodes, rows in result.items():
        for count, row in rows.items():
            naive, means = row["naive"], [f"{row[way]['mean_ms']:,.1f} ms" for way in WAYS[1:]]
            cells = (
                nodes, count, f"{naive['mean_ms']:,.0f} ms", *means, f"{naive['running_ms']:,.0f} ms",
                f"{naive['deleting_ms']:,.0f} ms", f"{row[WAYS[2]]['filled_s']:,.1f} s",
            )  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    told = f"All nodes share two cores; each may use {CPUS:g} of one, so that more nodes are more processor."
    return "\n".join([*lines, "", f"Mean time of an event, from when all were there. {told}"])
