"""How many pods one node serves, and what so many workers cost the agent.

A pod counts when it waits in `next`, and afterwards each is given an event and answers it. Pods idle: this is about room, not
about work. The agent is a process of its own, the whole of it.
"""

from __future__ import annotations

import time
from typing import Any

from tests.bench.cluster.stand import IMAGE, NAMESPACE, PREPARED, image
from tests.bench.figures import Figure
from tests.bench.stage import Stage, manifest, memory_of
from tests.cluster import Cluster

STEPS = (50, 100, 150, 200, 250)
MUST = 150
PATIENCE = 180.0
"""Seconds for fifty more pods to begin to serve; then that was all."""
MB = 1e6


def run(quick: bool = False) -> dict[str, Any]:
    """`{"served", "memory": {workers: bytes of RSS}, "seconds": {workers: until they waited}, "node": bytes available}`."""
    steps = STEPS[:1] if quick else STEPS
    with Cluster(nodes=1, name="dense", max_pods=260) as cluster, Stage() as stage:
        cluster.apply(*PREPARED)
        cluster.load(image())
        stage.manifests([
            manifest(
                "Function", "many", image=IMAGE, command=["/function/again"], isolation="shared", memory="16Mi", cpu="10m",
                pool={"minIdle": 0, "maxWorkers": STEPS[-1]},
            )
        ])  # fmt: skip
        agent = stage.agent({
            "functions.runner": "kubernetes", "kubernetes.kubeconfig": str(cluster.kubeconfig),
            "kubernetes.namespace": NAMESPACE, "kubernetes.runtime_address": cluster.runtime_address,
        })  # fmt: skip
        agent.ask("begin")
        memory, seconds = {0: memory_of(agent.pid)["rss"]}, {}
        begun = time.monotonic()
        for count in steps:
            agent.ask("scale", "many", count)
            if not _wait(lambda: agent.ask("workers", "many")["idle"] >= count):  # noqa: B023 - asked in this turn only
                break
            seconds[count] = time.monotonic() - begun
            memory[count] = memory_of(agent.pid)["rss"]
        waiting = int(agent.ask("workers", "many")["idle"])
        answered = int(agent.ask("send", "many", waiting)["answered"])
    return {"served": min(waiting, answered), "memory": memory, "seconds": seconds}


def _wait(check: Any) -> bool:
    end = time.monotonic() + PATIENCE
    while not check():
        if time.monotonic() > end:
            return False
        time.sleep(0.5)
    return True


def figures(result: dict[str, Any]) -> list[Figure]:
    memory = {int(count): rss for count, rss in result["memory"].items()}
    served = [Figure(
        "pods that wait for events on one node, and each answered one", result["served"], "", MUST, STEPS[-1],
        more_is_better=True,
        detail=", ".join(f"{count} after {seconds:.0f} s" for count, seconds in result["seconds"].items()),
    )]  # fmt: skip
    if MUST not in memory:
        return served
    detail = f"RSS; {memory[0] / MB:.0f} MB with none"
    return [*served, Figure(f"agent memory with {MUST} workers", memory[MUST] / MB, "MB", 130, 90, detail=detail)]
