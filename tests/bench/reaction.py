"""Reading received to function answered, through the whole agent: rule, commit, hand-over over the Runtime API, answer.

Received is when the reading left the agent's socket, answered when the function's response came in; both are moments of one
process. The processor time is the agent's alone, at a steady rate, less what it uses when nothing happens.
"""

from __future__ import annotations

import random
import sys
import time
from typing import Any

from tests.bench import functions
from tests.bench.figures import Figure
from tests.bench.probe import Probe, percentile
from tests.bench.stage import ROOT, Child, Stage, manifest

SECONDS = 5.0
"""Of events at each rate."""
WORKERS = str(ROOT / "tests" / "bench" / "workers")
KINDS: dict[str, dict[str, Any]] = {
    "shared": {
        "command": [sys.executable, "-m", "awslambdaric"], "args": ["echo.handler"], "isolation": "shared",
        "pool": {"minIdle": 1, "maxWorkers": 1},
    },
    "fresh": {"command": ["busybox", "sh", "./echo.sh"], "isolation": "pod", "pool": {"minIdle": 4, "maxWorkers": 8}},
}  # fmt: skip


def run(quick: bool = False) -> dict[str, Any]:
    """By kind of worker: `{"ms": {"p50", "p99", "events"}, "published_ms", "steps_ms", "cpu_ms": {rate: ms}}`; `engine` is that
    part of the agent alone, from `submit` to settlement."""
    return {
        "shared": _measure("shared", 100 if quick else 300, pause=0.025, rates=(100.0, 1000.0)),
        "fresh": _measure("fresh", 40 if quick else 120, pause=0.1, rates=(10.0,)),
        "engine": functions.run(0.1 if quick else 0.3),
    }


def figures(result: dict[str, Any]) -> list[Figure]:
    shared, fresh, engine = result["shared"], result["fresh"], result["engine"]
    return [
        Figure("reading received to function answered, shared", shared["ms"]["p50"], "ms", 3, 1.5, detail=_spread(shared)),
        Figure("... a fresh waiting process for each event", fresh["ms"]["p50"], "ms", 5, 3, detail=_spread(fresh)),
        Figure(
            "agent CPU per invocation, shared, 1,000 a second", shared["cpu_ms"]["1000"], "ms", 0.6, 0.25,
            detail="the message that caused it and both commits included; "
            f"one by one, 100 a second: {shared['cpu_ms']['100']:.2f} ms",
        ),
        Figure(
            "... the function engine's share of it", engine["shared"]["cpu_ms"], "ms", 0.6, 0.25,
            detail=f"from submit to settlement; {engine['shared_burst']['per_second']:,.0f} a second when they come together",
        ),
        Figure("... fresh process, 10 a second, the start of the next one included", fresh["cpu_ms"]["10"], "ms"),
    ]  # fmt: skip


def _spread(kind: dict[str, Any]) -> str:
    ms, outside = kind["ms"], kind["published_ms"]
    steps = ", ".join(f"{step} {found['p50']:.1f}" for step, found in kind["steps_ms"].items())
    return f"p50; p99 {ms['p99']:.1f} ms, {ms['events']} events; steps {steps}; since publishing {outside['p50']:.1f}"


def _measure(kind: str, events: int, *, pause: float, rates: tuple[float, ...]) -> dict[str, Any]:
    with Stage() as stage:
        stage.manifests([
            manifest("Function", "echo", source=WORKERS, timeout="10s", **KINDS[kind]),
            manifest("Rule", "each", devices="probe-*", reading="watched", every=True, run=["echo"]),
        ])  # fmt: skip
        agent = stage.agent({"log.level": "error"})
        agent.ask("begin", "watched")
        probe = Probe(stage.broker.port)
        for _ in range(10):
            probe.publish("probe-0", "watched", 1.0)
        _answered(agent, 10)
        time.sleep(1.0)
        sent = {}
        for number in range(events):
            device = f"probe-{number % 10}"
            seq, at = probe.publish(device, "watched", 1.0)
            sent[device, seq] = at * 1000
            time.sleep(pause * random.uniform(0.7, 1.3))
        told = _answered(agent, 10 + events)
        received = {(device, seq): at for device, seq, at in told["received"]}
        since_received, since_sent = [], []
        steps: dict[str, list[float]] = {"on disk": [], "handed over": [], "answered": []}
        for id, _, dispatched, handed_over, answered, _ in told["ends"]:
            device, _, seq, _ = id.split("/")
            if key := sent.get((device, int(seq))):
                since_received.append(answered - received[device, int(seq)])
                since_sent.append(answered - key)
                steps["on disk"].append(dispatched - received[device, int(seq)])
                steps["handed over"].append(handed_over - dispatched)
                steps["answered"].append(answered - handed_over)
        idle = _idle(agent)
        done = 10 + events
        cpu = {}
        for rate in rates:
            count = int(rate * SECONDS)
            cpu[f"{rate:g}"] = _cpu(agent, probe, done, count, rate, idle)
            done += count
        probe.close()
        return {
            "ms": _summary(since_received),
            "published_ms": _summary(since_sent),
            "steps_ms": {step: _summary(found) for step, found in steps.items()},
            "cpu_ms": cpu,
            "idle_cpu_share": idle,
        }


def _cpu(agent: Child, probe: Probe, done: int, count: int, rate: float, idle: float) -> float:
    """Milliseconds of the agent's processor time for each of `count` events at `rate` a second, idling taken off."""
    before = agent.ask("stats")
    for number in range(count):
        probe.publish(f"probe-{number % 10}", "watched", 1.0)
        time.sleep(max(0.0, before["at"] + (number + 1) / rate - time.time()))
    while agent.ask("ended")["count"] < done + count:
        time.sleep(0.2)
    after = agent.ask("stats")
    used = after["cpu"] - before["cpu"] - idle * (after["at"] - before["at"])
    return float(used / count * 1000)


def _answered(agent: Child, count: int) -> dict[str, Any]:
    """Wait until so many invocations have ended, each answered. Errors: RuntimeError otherwise."""
    end = time.time() + 60
    while time.time() < end:
        ended = agent.ask("ended")
        if ended["count"] >= count:
            told = agent.ask("invocations")
            if bad := [one for one in told["ends"] if one[1] != "answered"]:
                raise RuntimeError(f"{len(bad)} of {count} invocations were not answered: {bad[0]}")
            return told
        time.sleep(0.1)
    raise RuntimeError(f"of {count} invocations {ended['count']} have ended")


def _idle(agent: Child) -> float:
    """Seconds of CPU per second when nothing happens."""
    before = agent.ask("stats")
    time.sleep(2.0)
    after = agent.ask("stats")
    return float((after["cpu"] - before["cpu"]) / (after["at"] - before["at"]))


def _summary(values: list[float]) -> dict[str, float]:
    return {"p50": percentile(values, 0.5), "p99": percentile(values, 0.99), "events": len(values)}
