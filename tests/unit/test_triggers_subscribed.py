"""What the broker may still hold for us is remembered across lives, and taken back when nobody asks for it any more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_agent.adapters.mqtt_paho import BrokerOptions, PahoBroker
from edge_agent.app.subscriptions import Subscriptions
from edge_agent.domain.alert import Alert
from edge_agent.engine.alarms import Alarms


class Life:
    """One life of the agent, with a broker that is away."""

    def __init__(self, folder: Path) -> None:
        self.alerts: list[Alert] = []
        self.file = folder / "subscriptions.json"
        self.broker = PahoBroker(BrokerOptions(), ["a"], lambda: 0, take=lambda batch: None)
        self.subscriptions = Subscriptions(self.file, self.broker, Alarms(lambda: 1, self.alerts.append))

    @property
    def held(self) -> list[str]:
        found: list[str] = json.loads(self.file.read_text())
        return found

    @property
    def gone(self) -> tuple[str, ...]:
        return self.broker.standing._gone


def test_a_filter_is_on_disk_before_the_broker_hears_of_it_and_until_it_has_let_go(tmp_path: Path) -> None:
    first = Life(tmp_path)
    first.subscriptions.change(["a", "b"])
    assert first.held == ["a", "b"]
    first.subscriptions.change(["a", "c"])
    assert first.held == ["a", "b", "c"]
    assert first.gone == ("b",)

    second = Life(tmp_path)
    second.subscriptions.change(["c"])
    assert second.gone == ("a", "b"), "of every life before"
    second.broker.standing.on_gone(["a", "b"])
    assert second.held == ["c"]


def test_nothing_is_written_while_nothing_changes(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.subscriptions.change(["a"])
    written = life.file.stat().st_mtime_ns
    inode = life.file.stat().st_ino
    life.subscriptions.change(["a"])
    Life(tmp_path).subscriptions.change(["a"])
    assert (life.file.stat().st_mtime_ns, life.file.stat().st_ino) == (written, inode)


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1}', b"\xff"])
def test_a_damaged_file_is_said_and_costs_no_start(tmp_path: Path, content: bytes, caplog: Any) -> None:
    (tmp_path / "subscriptions.json").write_bytes(content)
    life = Life(tmp_path)
    life.subscriptions.change(["a"])
    assert life.held == ["a"]
    assert "cannot be read" in caplog.text


def test_a_refusal_is_an_alarm_until_it_is_over(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.broker.standing.on_refused([])
    assert life.alerts == []
    life.broker.standing.on_refused(["house/#"])
    life.broker.standing.on_refused([])
    assert [alert.state for alert in life.alerts] == ["firing", "resolved"]
    assert "house/#" in life.alerts[0].message
    assert "allow the agent's user" in life.alerts[0].message
