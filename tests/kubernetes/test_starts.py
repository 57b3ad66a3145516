"""Starts of pods are governed by the agent's settings, and who asks is told why one waits."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.agent import Agent
from tests.broker import Broker
from tests.kubernetes.ground import ASK, IMAGE, SERVE, Ground
from tests.waiting import eventually

EVENTS, PER_SECOND = 4, 0.5


def manifest() -> str:
    script = (ASK + SERVE.replace("@WORK@", "")).replace("\n", "\n        ")
    return f"""\
apiVersion: edge.internal/v1alpha1
kind: Function
metadata: {{name: fresh}}
spec:
  image: {IMAGE}
  command: [/bin/busybox, sh, -c]
  args:
    - |
        {script}
  isolation: pod
  memory: 32Mi
  pool: {{minIdle: 0, maxWorkers: {EVENTS}}}
"""


@pytest.mark.timeout(120)
def test_pods_start_no_faster_than_they_may_the_reason_is_in_status_and_every_event_is_answered(
    ground: Ground, tmp_path: Path
) -> None:
    settings = ground.settings() | {"functions.starts.per_second": PER_SECOND, "functions.starts.burst": 1}
    with Broker() as broker, Agent(tmp_path / "agent", broker.port, manifests=manifest(), settings=settings) as agent:
        began = time.monotonic()
        for number in range(EVENTS):
            event = {"specversion": "1.0", "id": f"{number}", "source": "/edge/test", "type": "test", "data": number}
            assert agent.post("/functions/fresh/invocations", event, Prefer="respond-async").status_code == 202

        def answered() -> int:
            return len(agent.get("/invocations", state="answered")["items"])

        eventually(lambda: "functions.starts.per_second" in (agent.run("status").stdout))
        said = " ".join(agent.run("status").stdout.split())
        assert f"workers start {PER_SECOND} a second here (functions.starts.per_second)" in said
        eventually(lambda: answered() == EVENTS, timeout=60)
        assert time.monotonic() - began > (EVENTS - 1) / PER_SECOND
        assert agent.get("/deadletters")["items"] == []
    ground.cleared()
