"""The agent's memory under load: 1,000 boards, 100 rules, ten minutes; flat, or growing?

Web server, metrics and history are in it, as on an appliance. RSS is what the must is about; PSS and USS leave out what other
processes share. Flat is judged on the second half, by the slope of a straight line through it.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from tests.bench.figures import Figure
from tests.bench.stage import Stage, hundred_rules, memory_of

RATE = 500
"""Messages a second: each board twice a second."""
DEVICES = 1000
MB = 1e6


def run(quick: bool = False, seconds: float = 0.0) -> dict[str, Any]:
    """`{"seconds", "start", "samples": [[s, rss, pss, uss], ...] (bytes), "slope": bytes per hour, "messages"}`."""
    seconds = seconds or (60.0 if quick else 600.0)
    with Stage() as stage:
        stage.manifests(hundred_rules())
        agent = stage.agent()
        agent.ask("begin")
        time.sleep(1.0)
        start = memory_of(agent.pid)
        stage.publisher(int(RATE * seconds), rate=RATE, chunk=1, devices=DEVICES).tell()
        samples, begun = [], time.time()
        while (elapsed := time.time() - begun) < seconds:
            now = memory_of(agent.pid)
            samples.append([elapsed, now["rss"], now["pss"], now["uss"]])
            time.sleep(min(5.0, max(0.0, seconds - elapsed)))
        told = agent.ask("stats")
        return {
            "seconds": seconds, "start": start, "samples": samples, "slope": slope(samples), "messages": told["acknowledged"],
            "sizes": agent.ask("sizes"),
        }  # fmt: skip


def figures(result: dict[str, Any]) -> list[Figure]:
    samples = result["samples"]
    most, late = max(sample[1] for sample in samples), samples[len(samples) // 2 :]
    growth = late[-1][1] - late[0][1]
    detail = (
        f"RSS, most in {result['seconds'] / 60:.0f} minutes; begun at {result['start']['rss'] / MB:.0f} MB; "
        f"PSS {samples[-1][2] / MB:.0f} MB, USS {samples[-1][3] / MB:.0f} MB at the end"
    )
    return [
        Figure("agent memory, 1,000 devices, 100 rules", most / MB, "MB", 100, 60, detail=detail),
        Figure(
            "... growth in the second half, to be called flat",
            growth / MB,
            "MB",
            2,
            1,
            detail=f"a slope of {result['slope'] / MB:.1f} MB an hour",
        ),
    ]


def slope(samples: list[list[float]]) -> float:
    """Bytes per hour of RSS, by least squares over the second half."""
    late = samples[len(samples) // 2 :]
    if len(late) < 3:
        return 0.0
    return statistics.linear_regression([sample[0] / 3600 for sample in late], [sample[1] for sample in late]).slope


def soak(hours: float) -> None:
    """`make soak`: the same for hours, with a line a minute."""
    with Stage() as stage:
        stage.manifests(hundred_rules())
        agent = stage.agent()
        agent.ask("begin")
        stage.publisher(int(RATE * hours * 3600), rate=RATE, chunk=1, devices=DEVICES).tell()
        samples, begun = [], time.time()
        while (elapsed := time.time() - begun) < hours * 3600:
            time.sleep(60.0)
            now = memory_of(agent.pid)
            samples.append([elapsed + 60, now["rss"], now["pss"], now["uss"]])
            told = agent.ask("stats")
            print(
                f"{(elapsed + 60) / 60:6.0f} min  RSS {now['rss'] / MB:6.1f} MB  USS {now['uss'] / MB:6.1f} MB  "
                f"{told['acknowledged']:,} messages, {told['moved']:,} in the history, "
                f"{told['dropped']} dropped  slope {slope(samples) / MB:+.1f} MB/h",
                flush=True,
            )
