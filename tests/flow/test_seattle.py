"""Real input: a year of hourly temperatures measured in Seattle, through broker, rule, function and alert.

The series is in the package `vega_datasets`; what must come out is computed here from the file alone, without the agent's
code. An hour is played in a millisecond or so: the rule has no durations, so its episodes do not depend on the pace.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from vega_datasets import data

from edge_agent.adapters.board_paho import BoardLinks
from edge_agent.domain.topics import Topics
from edge_agent.simulator.board import Board
from edge_agent.simulator.fleet import new_boot
from edge_agent.simulator.member import Member
from edge_agent.simulator.replay import Replay
from tests.agent import Agent
from tests.broker import Broker
from tests.flow.test_appliance import SHELL, lan
from tests.waiting import eventually

HOT, COOL = 65.0, 60.0
MANIFESTS = """
    apiVersion: edge.internal/v1alpha1
    kind: Rule
    metadata: {name: hot}
    spec: {devices: seattle, reading: temp, above: 65, clearBelow: 60, run: [note], severity: warning}
    ---
    apiVersion: edge.internal/v1alpha1
    kind: Function
    metadata: {name: note}
    spec:
      source: FOLDER
      command: [/bin/busybox, sh, main.sh]
      isolation: pod
      pool: {minIdle: 2, maxWorkers: 4}
"""


def expected(values: list[float]) -> tuple[list[int], list[int]]:
    """Which hours (from 1) begin an episode, and which end one: above 65 °F until below 60 °F."""
    begins, ends, hot = [], [], False
    for hour, value in enumerate(values, 1):
        if not hot and value > HOT:
            hot = True
            begins.append(hour)
        elif hot and value < COOL:
            hot = False
            ends.append(hour)
    return begins, ends


@pytest.mark.timeout(180)
def test_every_hot_spell_of_a_year_in_seattle_is_one_alert_and_one_run_of_the_function(tmp_path: Path) -> None:
    frame = data.seattle_temps()
    values = [float(value) for value in frame["temp"]]
    begins, ends = expected(values)
    assert len(values) > 8000
    assert len(begins) > 50, "a year has hot spells, or this test proves nothing"
    csv = tmp_path / "seattle.csv"
    csv.write_text(
        "time,temp\n" + "".join(f"{d:%Y-%m-%dT%H:%M},{v}\n" for d, v in zip(frame["date"], values, strict=True))
    )
    folder = tmp_path / "note"
    folder.mkdir()
    (folder / "main.sh").write_text("\n".join(line.strip() for line in SHELL.splitlines()))
    manifests = MANIFESTS.replace("FOLDER", str(folder))

    with (
        Broker(extra=["max_queued_messages 0"]) as broker,
        Agent(tmp_path, broker.port, manifests=manifests) as agent,
        lan(broker.port) as home,
    ):
        links = BoardLinks("127.0.0.1", broker.port)
        series = Replay(csv, speed=3_600_000 / 1, shift=True)
        boot = new_boot()
        member = Member(Topics("home"), "seattle", Board(boot), about=series.about())
        member.connect(links)
        assert series.play(member, threading.Event()), "everything was sent and acked"
        member.close()
        links.close()

        alert = home.topics.alert("hot", "seattle")

        def all_told() -> bool:
            assert len(home.said(alert)) == len(begins) + len(ends)
            return True

        eventually(all_told, timeout=60)
        told = [json.loads(payload) if payload else None for payload in home.said(alert)]
        fired = [entry for entry in told if entry]
        assert [entry["id"] for entry in fired] == [f"seattle/{boot}/{hour}/hot" for hour in begins]
        assert [entry["value"] for entry in fired] == [values[hour - 1] for hour in begins]
        assert [entry is None for entry in told] == [False, True] * len(ends) + [False] * (len(begins) - len(ends))

        def ended() -> dict[str, str]:
            items, cursor = [], ""
            while True:
                page = agent.get("/invocations", limit=100, cursor=cursor)
                items += page["items"]
                if not (cursor := page["cursor"]):
                    return {item["id"]: item["state"] for item in items}

        eventually(lambda: set(ended().values()) == {"answered"} and len(ended()) == len(begins), timeout=60)
        assert set(ended()) == {f"seattle/{boot}/{hour}/hot" for hour in begins}
        stored = agent.http(
            "GET",
            "/api/v1/devices/seattle/readings",
            params={"reading": "temp", "since": "1h"},
            headers={"Accept": "text/csv"},
        )
        rows = stored.text.strip().splitlines()[1:]
        assert [float(row.split(",")[-1]) for row in rows] == values
