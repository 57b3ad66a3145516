from __future__ import annotations

from pathlib import Path

from edge_agent.health import Broker, Healthy, Unwell
from edge_agent.health.checks.broker import check
from tests.fake_pi import HOUR, NOW, FakePi


def test_a_broker_that_is_connected_is_well_and_for_how_long_is_said(tmp_path: Path) -> None:
    found = check(FakePi(tmp_path).context(broker=Broker("127.0.0.1:1883", True, NOW - 3 * HOUR)))
    assert found == Healthy("connected to 127.0.0.1:1883 for 3 h")


def test_a_broker_that_is_away_is_unwell_with_its_reason_and_what_to_do(tmp_path: Path) -> None:
    found = check(FakePi(tmp_path).context(broker=Broker("pi:1883", False, NOW - 90_000, "Not authorized")))
    assert isinstance(found, Unwell)
    assert found.summary == "not connected to pi:1883 for 90 s: Not authorized"
    assert "systemctl status mosquitto" in found.try_this
    assert found.blocks


def test_without_an_agent_nobody_knows(tmp_path: Path) -> None:
    found = check(FakePi(tmp_path).context())
    assert isinstance(found, Unwell)
    assert "edgectl run" in found.try_this
