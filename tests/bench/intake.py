"""Durable intake: how many messages a second, and what each costs, against the naive way and against Node-RED.

QoS 1, 75 bytes of JSON, 100 rules, fsync before each PUBACK, history and metrics included; broker and publisher on the same
cores. All take turns in one run, every other round in the opposite order, so that what the machine does besides hits all of
them; a ratio is the median of the rounds' own. Only runs in which every message was read back exactly once count.

What the two ends of the comparison with Node-RED have in common: publisher, broker settings, QoS 1, 20 topics, the number of
messages, the warm-up; the clock runs from the first publish to the last message done with. What differs is in Node-RED's
favour, but for its older protocol (3.1.1): it compares one number in memory and stores nothing, answers a message as soon as
it was read, and has no window (the broker may send all it has; the publisher is done early and leaves it the cores). The
agent decodes in full, has 100 rules, fsyncs before it answers, and is done when the last message is on disk.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from queue import Empty
from typing import Any

from tests.bench.figures import Figure
from tests.bench.rival import NodeRed, available, version
from tests.bench.stage import Child, Stage, hundred_rules

WARM_UP = 5000


class NotExactlyOnce(Exception):
    """Messages were lost or stored twice: the figure would mean nothing."""


def run(quick: bool = False) -> dict[str, Any]:
    """`{"live": {contestant: [{"rate", "cpu_us"}]}, "queued": [...], "paced": {rate: [...]}, "node_red": why not, version}`."""
    rounds = 3 if quick else 5
    missing = available()
    many, few = (30_000, 2_000) if quick else (80_000, 5_000)
    turns: dict[str, Callable[[], dict[str, float]]] = {"agent": lambda: _agent(many)}
    if not missing:
        turns["node-red"] = lambda: _node_red(many)
    turns["naive"] = lambda: _naive(few)
    live: dict[str, list[dict[str, float]]] = {"agent": [], "naive": [], "node-red": []}
    for number in range(rounds):
        for contestant in list(turns)[:: -1 if number % 2 else 1]:
            live[contestant].append(turns[contestant]())
    queued = [_queued(40_000 if quick else 100_000) for _ in range(1 if quick else 2)]
    seconds, times = (3, 1) if quick else (6, 2)
    paced = {str(rate): [_agent(rate * seconds, rate) for _ in range(times)] for rate in (5_000, 10_000)}
    return {"live": live, "queued": queued, "paced": paced, "node_red": missing or version()}


def figures(result: dict[str, Any]) -> list[Figure]:
    live, rounds = result["live"], len(result["live"]["agent"])
    mine = _median(live["agent"], "rate")
    spread = f"{min(r['rate'] for r in live['agent']):,.0f} to {max(r['rate'] for r in live['agent']):,.0f} in {rounds} rounds"
    naive = _ratio(live["agent"], live["naive"])
    found = [
        Figure("durable intake, live", mine, "msg/s", 20_000, 30_000, True, spread),
        Figure(
            "... from a full queue", _median(result["queued"], "rate"), "msg/s", more_is_better=True,
            detail=f"{_median(result['queued'], 'cpu_us'):.1f} us of CPU per message",
        ),
        Figure("... against one commit per message", naive, "x", 10, 15, True, f"{_median(live['naive'], 'rate'):,.0f} msg/s"),
    ]  # fmt: skip
    if live["node-red"]:
        detail = f"Node-RED {result['node_red']}: {_median(live['node-red'], 'rate'):,.0f} msg/s in memory, " + (
            f"{_median(live['node-red'], 'cpu_us'):.0f} us of CPU"
        )
        ratio = _ratio(live["agent"], live["node-red"])
        found.append(Figure("... against Node-RED with a filter", ratio, "x", 1.2, 1.7, True, detail))
    cost = "the whole path: rules, journal, history, metrics"
    found.append(Figure("agent CPU per message, live", _median(live["agent"], "cpu_us"), "us", 25, 12, detail=cost))
    for rate, paced in result["paced"].items():
        found.append(Figure(f"... paced, {int(rate):,} msg/s", _median(paced, "cpu_us"), "us", 25, 12, detail=cost))
    return found


def _agent(messages: int, rate: float = 0) -> dict[str, float]:
    with Stage() as stage:
        stage.manifests(hundred_rules())
        agent = stage.agent()
        agent.ask("begin")
        stage.flood(WARM_UP, boot="warmedup")
        agent.ask("count", WARM_UP, 30)
        paced = {"rate": rate, "chunk": 5} if rate else {}
        publisher = stage.publisher(messages, **paced)
        before = agent.ask("drain")
        publisher.tell()
        patience = 60 + (messages / rate if rate else messages / 5000)
        done = agent.ask("count", WARM_UP + messages, patience, 0.25 if rate else 0.01)
        begun = float(_json(publisher)["begun"])
        after = agent.ask("drain")
        _prove(agent, WARM_UP + messages)
        return {
            "rate": messages / (done["at"] - begun),
            "cpu_us": (after["cpu"] - before["cpu"]) / messages * 1e6,
            "commits": after["commits"] - before["commits"],
        }


def _queued(messages: int) -> dict[str, float]:
    """The broker holds everything already when the agent comes back."""
    with Stage() as stage:
        stage.manifests(hundred_rules())
        agent = stage.agent()
        agent.ask("begin")
        agent.ask("stop")
        agent.end()
        stage.flood(messages)
        agent = stage.agent()
        before = agent.ask("stats")
        begun = agent.ask("begin")
        done = agent.ask("count", messages, 60)
        after = agent.ask("drain")
        _prove(agent, messages)
        took = done["at"] - begun["connected"]
        return {"rate": messages / took, "cpu_us": (after["cpu"] - before["cpu"]) / messages * 1e6}


def _naive(messages: int) -> dict[str, float]:
    with Stage() as stage:
        naive = stage.python("naive", stage.folder, stage.broker.port)
        naive.ask("begin")
        stage.flood(200, boot="warmedup")
        before = naive.ask("count", 200, 30)
        publisher = stage.publisher(messages)
        publisher.tell()
        done = naive.ask("count", 200 + messages, 120)
        begun = float(_json(publisher)["begun"])
        _prove(naive, 200 + messages)
        return {"rate": messages / (done["at"] - begun), "cpu_us": (done["cpu"] - before["cpu"]) / messages * 1e6}


def _node_red(messages: int) -> dict[str, float]:
    with Stage() as stage:
        rival = NodeRed(stage)
        try:
            rival.wait()
            for attempt in range(20):  # its subscription stands a moment after it says that it is connected
                stage.flood(WARM_UP, boot=f"warm{attempt:04}", marker=True)
                try:
                    rival.markers.get(timeout=3)
                    break
                except Empty:
                    continue
            before = rival.cpu
            publisher = stage.publisher(messages, marker=True)
            publisher.tell()
            done = rival.markers.get(timeout=120)
            begun = float(_json(publisher)["begun"])
            return {"rate": messages / (done - begun), "cpu_us": (rival.cpu - before) / messages * 1e6}
        finally:
            rival.end()


def _prove(store: Child, messages: int) -> None:
    found = store.ask("audit")
    if found != {"stored": messages, "distinct": messages}:
        raise NotExactlyOnce(f"of {messages} messages {found['distinct']} were stored, {found['stored']} times")


def _json(publisher: Child) -> dict[str, Any]:
    import json

    told: dict[str, Any] = json.loads(publisher.line())
    return told


def _median(rounds: list[dict[str, float]], name: str) -> float:
    return statistics.median(each[name] for each in rounds)


def _ratio(mine: list[dict[str, float]], other: list[dict[str, float]]) -> float:
    """The median of each round's own ratio: what the machine did meanwhile cancels out."""
    return statistics.median(a["rate"] / b["rate"] for a, b in zip(mine, other, strict=True))
