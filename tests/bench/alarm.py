"""Reading published to alert on MQTT, seen from outside, while 1,000 other messages a second come in.

One client publishes a reading that crosses a limit and waits for the retained alert of it; both moments are of its own clock.
"""

from __future__ import annotations

import random
import time
from queue import Empty
from typing import Any

from tests.bench.figures import Figure
from tests.bench.probe import Probe, percentile
from tests.bench.stage import Stage, hundred_rules, manifest

BACKGROUND = 1000
DEVICES = 20


def run(quick: bool = False) -> dict[str, Any]:
    """`{"ms": {"p50", "p99", "most"}, "cleared_ms": {...}, "alerts": n, "background": messages a second that arrived}`."""
    alerts = 100 if quick else 400
    with Stage() as stage:
        hot = manifest("Rule", "hot", devices="probe-*", reading="watched", above=50, severity="critical")
        stage.manifests([*hundred_rules(), hot])
        agent = stage.agent()
        agent.ask("begin")
        probe = Probe(stage.broker.port)
        # more than will be needed; it ends with the stage
        stage.publisher(BACKGROUND * 120, rate=BACKGROUND, chunk=1).tell()
        time.sleep(2.0)
        before = agent.ask("stats")
        raised, cleared = [], []
        for number in range(alerts):
            device = f"probe-{number % DEVICES}"
            raised.append(_told(probe, device, 90.0, firing=True))
            time.sleep(random.uniform(0.005, 0.02))
            cleared.append(_told(probe, device, 10.0, firing=False))
            time.sleep(random.uniform(0.005, 0.02))
        after = agent.ask("stats")
        probe.close()
        arrived = (after["acknowledged"] - before["acknowledged"]) / (after["at"] - before["at"])
        return {"ms": _summary(raised), "cleared_ms": _summary(cleared), "alerts": alerts, "background": arrived}


def figures(result: dict[str, Any]) -> list[Figure]:
    ms = result["ms"]
    came_in = f"{result['background']:,.0f} msg/s came in"
    detail = f"p99 of {result['alerts']}; p50 {ms['p50']:.1f} ms, longest {ms['most']:.1f} ms; {came_in}"
    return [Figure("reading published to alert on MQTT, 1,000 msg/s besides", ms["p99"], "ms", 100, 30, detail=detail)]


def _told(probe: Probe, device: str, value: float, *, firing: bool) -> float:
    """Milliseconds until the alert of `device` is on its topic, or has left it."""
    _, begun = probe.publish(device, "watched", value)
    end = time.time() + 10
    while True:
        try:
            at, topic, payload = probe.alerts.get(timeout=end - time.time())
        except (Empty, ValueError) as never:
            raise RuntimeError(f"no alert within 10 s of {device}={value}") from never
        if topic.endswith(f"/hot/{device}") and bool(payload) == firing:
            return (at - begun) * 1000


def _summary(values: list[float]) -> dict[str, float]:
    return {"p50": percentile(values, 0.5), "p99": percentile(values, 0.99), "most": max(values)}
