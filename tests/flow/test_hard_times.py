"""Full disks, clocks that jump, and floods of generated messages: the agent in a process of its own, judged from outside."""

from __future__ import annotations

import errno
import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.agent import Agent
from tests.broker import Broker
from tests.clock import now_ms
from tests.contract import payloads
from tests.flow.test_appliance import lan
from tests.small_disk import small_disk
from tests.waiting import eventually

PAYLOADS = int(os.environ.get("EDGE_CHAOS_PAYLOADS", "2000"))
LOW = """
    apiVersion: edge.internal/v1alpha1
    kind: Rule
    metadata: {name: low}
    spec: {devices: "tank-*", reading: level, below: 20, for: 2s}
"""


def test_a_full_disk_promises_nothing_raises_an_alarm_and_intake_resumes_by_itself(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "disk", "8m") as disk,
        Broker() as broker,
        Agent(disk, broker.port) as agent,
        lan(broker.port) as home,
    ):
        home.publish("tank-1", 1, level=50.0)
        eventually(lambda: home.acked("tank-1") == 1)
        filler = disk / "filler"
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            filler.write_bytes(bytes(16_000_000))
        alarm = home.topics.alert("disk", "appliance")
        seq = 1
        while not home.said(alarm):
            assert seq < 2000, "the disk was never full"
            seq += 1
            home.publish("tank-1", seq, level=50.0, note="x" * 200)
        assert "full" in json.loads(home.said(alarm)[0])["message"]
        promised = home.acked("tank-1")
        home.publish("tank-1", seq + 1, level=51.0)
        time.sleep(1.5)
        assert home.acked("tank-1") == promised < seq + 1
        assert [entry["name"] for entry in agent.get("/status")["alarms"]] == ["disk"]
        assert agent.http("GET", "/readyz").status_code == 503
        filler.unlink()
        eventually(lambda: home.acked("tank-1") == seq + 1)
        eventually(lambda: home.said(alarm)[-1] == b"")
        assert agent.get("/devices/tank-1")["readings"]["level"]["value"] == 51.0
        stored = agent.get("/devices/tank-1/readings", reading="level", since="1h", limit=5000)["items"]
        assert len(stored) == seq + 1


def test_a_clock_an_hour_back_loses_nothing_and_rules_go_on(tmp_path: Path) -> None:
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    assert library is not None, "libfaketime is not installed: apt install faketime"
    offset = tmp_path / "offset"

    def move_clock(by: str) -> None:
        """At once: libfaketime ends a process that reads half a file."""
        whole = tmp_path / "offset.new"
        whole.write_text(by)
        whole.replace(offset)

    move_clock("+0")
    environment = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_CACHE_DURATION": "1",  # its threads race for the file: let them read it seldom
        "DONT_FAKE_MONOTONIC": "1",
    }
    with (
        Broker() as broker,
        Agent(tmp_path, broker.port, manifests=LOW, environment=environment) as agent,
        lan(broker.port) as home,
    ):
        alert = home.topics.alert("low", "tank-1")
        home.publish("tank-1", 1, level=10.0)
        eventually(lambda: home.said(alert))
        home.publish("tank-1", 2, level=30.0)
        eventually(lambda: home.said(alert)[-1] == b"")
        before = agent.get("/status")["time"]
        move_clock("-1h")
        eventually(lambda: agent.get("/status")["time"] < before)
        count = len(home.said(alert))
        home.publish("tank-1", 3, level=10.0, t=now_ms() - 3_600_000)
        eventually(lambda: len(home.said(alert)) > count)
        assert home.said(alert)[-1] != b"", "the hold of two seconds ran on the new clock"
        home.publish("tank-1", 4, level=30.0, t=now_ms() - 3_600_000)
        eventually(lambda: home.said(alert)[-1] == b"")
        move_clock("+0")
        home.publish("tank-1", 5, level=10.0)
        eventually(lambda: len(home.said(alert)) > count + 2)
        eventually(lambda: home.acked("tank-1") == 5)
        agent.kill()
        agent.start()
        stored = agent.get("/devices/tank-1/readings", reading="level", since="3h")["items"]
        assert [row["value"] for row in sorted(stored, key=lambda row: row["t"])].count(10.0) == 3
        assert len(stored) == 5


@pytest.mark.timeout(120 + PAYLOADS // 50)
def test_generated_payloads_are_all_stored_or_recorded_and_the_agent_takes_the_next(tmp_path: Path) -> None:
    """Good and bad mixed, every good one under a number of its own; `make test-chaos` sends a hundred thousand."""
    with (
        Broker(extra=["max_queued_messages 0"]) as broker,
        Agent(tmp_path, broker.port) as agent,
        lan(broker.port) as home,
    ):
        sent: Counter[str] = Counter()
        reasons: Counter[str] = Counter()

        def send(topic: str, payload: bytes) -> None:
            home._client.publish(topic, payload, qos=1)

        @settings(
            max_examples=max(1, PAYLOADS // 25),
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        @given(
            st.lists(payloads.valid_native(boot="gen", seq=1), min_size=20, max_size=20),
            st.lists(payloads.poison("home"), min_size=5, max_size=5),
        )
        def flood(fine: list[dict[str, Any]], bad: list[payloads.Bad]) -> None:
            for document in fine:
                sent["good"] += 1
                numbered = document | {"seq": sent["good"]}
                numbered.pop("oldest", None)
                send(home.topics.readings("gen-1"), json.dumps(numbered).encode())
            for topic, payload, reason in bad:
                if "gen-1" not in topic:
                    reasons[reason] += 1
                    send(topic, payload)

        flood()
        send(home.topics.readings("last-1"), b'{"boot":"b1","seq":1,"t":null,"readings":{"done":true}}')
        eventually(lambda: home.acked("last-1") == 1, timeout=60)
        acks = [json.loads(body) for body in home.said(home.topics.ack("gen-1"))]
        assert max(ack["seq"] for ack in acks) == sent["good"]
        told = agent.get("/status")
        assert sum(told["rejected"].values()) >= sum(reasons.values()) > 0
        assert set(reasons) <= set(told["rejected"])
        assert sent["good"] + sum(reasons.values()) >= PAYLOADS * 0.9
