"""Alerts and alarms on the LAN: what is said, in which order, and what is said again."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec

from edge_agent.domain.alert import Alert
from edge_agent.domain.topics import Topics
from edge_agent.engine.alarms import Alarms
from edge_agent.engine.tell import Teller
from edge_agent.errors import Unavailable

FIRING = Alert("a1", "low", "tank-1", "level", "firing", "critical", "low!", 18.2, 1000)
OVER = msgspec.structs.replace(FIRING, state="resolved", until=2000)


class Broker:
    """Takes down what is published; confirms at once unless it is away."""

    def __init__(self) -> None:
        self.said: list[tuple[str, bytes]] = []
        self.away = False

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, then: Callable[[], None] | None = None
    ) -> None:
        if self.away:
            raise Unavailable("away")
        assert (qos, retain) == (1, True)
        self.said.append((topic, payload))
        if then is not None:
            then()


class Ledger:
    def __init__(self, *untold: Alert) -> None:
        self.waiting = list(untold)
        self.confirmed: list[tuple[str, str]] = []

    def untold(self) -> list[Alert]:
        return self.waiting

    def told(self, id: str, state: str) -> None:
        self.confirmed.append((id, state))


def test_an_alert_is_retained_on_its_topic_and_cleared_when_it_is_over() -> None:
    broker, ledger = Broker(), Ledger()
    teller = Teller(Topics("home"), broker, ledger)
    teller.tell([FIRING, OVER])
    (topic, body), (same, empty) = broker.said
    assert topic == same == "edge/v1/home/alerts/low/tank-1"
    assert json.loads(body) == {
        "id": "a1", "state": "firing", "severity": "critical", "message": "low!", "value": 18.2, "since": 1000,
    }  # fmt: skip
    assert empty == b""
    assert ledger.confirmed == [("a1", "firing"), ("a1", "resolved")]


def test_what_was_late_is_not_told_but_its_end_may_clear_a_topic() -> None:
    broker = Broker()
    late = msgspec.structs.replace(FIRING, late=True)
    Teller(Topics("home"), broker, Ledger()).tell([late])
    assert broker.said == []


def test_a_broker_that_is_away_gets_it_when_it_is_back() -> None:
    broker, ledger = Broker(), Ledger(FIRING)
    teller = Teller(Topics("home"), broker, ledger)
    broker.away = True
    teller.tell([FIRING])
    assert ledger.confirmed == []
    broker.away = False
    teller.tell_again()
    assert ledger.confirmed == [("a1", "firing")]


def test_a_silenced_alert_stays_on_its_topic_marked() -> None:
    broker = Broker()
    Teller(Topics("home"), broker, Ledger(), silenced=lambda alert: True).tell([FIRING])
    assert json.loads(broker.said[0][1])["silenced"] is True


def test_an_alarm_is_told_when_it_begins_changes_and_ends_and_not_more_often() -> None:
    seen: list[tuple[str, str]] = []
    alarms = Alarms(lambda: 5, lambda alert: seen.append((alert.state, alert.message)))
    for summary in ("full", "full", "fuller", "", ""):
        alarms.set("disk", summary)
    assert seen == [("firing", "full"), ("firing", "fuller"), ("resolved", "over")]
    assert alarms.raised() == []
