"""Events a second for as long as one likes, of each isolation, and what limits it.

The ceiling of `pod` is what this machine can do of pods alone: created, seen to have ended, deleted, by threads that do
nothing else.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from edge_agent.domain.invocation import Settlement
from tests.bench.cluster.naive import Naive
from tests.bench.cluster.stand import IMAGE, NAMESPACE, Stand, Waited
from tests.bench.figures import Figure
from tests.bench.functions import cpu_ms

AHEAD = 40
"""Events that wait at any time."""
POOLS = {"shared": 4, "process": 4, "pod": 20}
THREADS = 16
"""Of the ceiling: more do not make it faster."""


def run(quick: bool = False) -> dict[str, Any]:
    """`{"ceiling": pods a second, isolation: {"per_second", "agent_ms"}}`."""
    seconds = 8.0 if quick else 45.0
    found: dict[str, Any] = {}
    with Stand(most=POOLS["pod"]) as stand:
        for isolation, pool in POOLS.items():
            stand.fill(isolation, pool)
            found[isolation] = _sustained(stand, isolation, seconds)
            stand.empty(isolation)
        found["ceiling"] = _ceiling(Naive(stand.cluster.kubeconfig, NAMESPACE, IMAGE, THREADS), seconds)
    return found


def _sustained(stand: Stand, function: str, seconds: float) -> dict[str, float]:
    """Keep `AHEAD` events waiting; the rate after the pool that was filled before has been used up."""
    flow = _Flow(stand, function)
    stand.listen(function, flow)
    flow.send(AHEAD)
    flow.await_ended(2 * POOLS[function])
    before, cpu, begun = flow.ended, cpu_ms(), time.perf_counter()
    time.sleep(seconds)
    ended, took, spent = flow.ended - before, time.perf_counter() - begun, cpu_ms() - cpu
    flow.stop()
    return {"per_second": ended / took, "agent_ms": spent / max(1, ended)}


class _Flow(Waited):
    """A new event for each that has ended."""

    def __init__(self, stand: Stand, function: str) -> None:
        super().__init__(-1)
        self._stand, self._function = stand, function
        self._stopping = False
        self._more = threading.Condition()
        self.sent = self.ended = 0

    def take(self, settled: Settlement) -> None:
        if settled.state == "dead":
            raise RuntimeError(f"{settled.id} is a dead letter: {settled.outcome}")
        with self._more:
            self.ended += 1
            self._more.notify_all()
        if not self._stopping:
            self.send(1)

    def send(self, count: int) -> None:
        self.sent += count
        self._stand.send(self._function, count)

    def await_ended(self, count: int) -> None:
        with self._more:
            if not self._more.wait_for(lambda: self.ended >= count, timeout=300):
                raise TimeoutError(f"{self.ended} of {count} have ended; {self._stand.shelf.engine.status()}")

    def stop(self) -> None:
        """No more; wait for those on their way."""
        self._stopping = True
        self.await_ended(self.sent)


def _ceiling(naive: Naive, seconds: float) -> float:
    """Pods a second."""
    ended, end = [0] * THREADS, time.monotonic() + seconds

    def work(number: int) -> None:
        while time.monotonic() < end:
            naive.one()
            ended[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(ended) / (time.monotonic() - begun)


def figures(result: dict[str, Any]) -> list[Figure]:
    said = [
        Figure(
            f"events a second, sustained, {isolation}", result[isolation]["per_second"], "/s",
            detail=f"{POOLS[isolation]} workers; {result[isolation]['agent_ms']:.2f} ms of the agent's processor time each",
        )
        for isolation in POOLS
    ]  # fmt: skip
    share = result["pod"]["per_second"] / result["ceiling"] * 100
    return [
        *said,
        Figure("... of `pod`, as a share of what the cluster does of pods alone", share, "%", None, 90, more_is_better=True,
               detail=f"{result['ceiling']:.1f} pods a second created, ended and deleted"),
    ]  # fmt: skip
