"""The event stream: what happens arrives, in order, without what nobody could see anyway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from edge_agent.web import live as stream
from edge_agent.web.routes.events import _newest
from tests.waiting import eventually


def told(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    kind = ""
    for line in lines:
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, json.loads(line.removeprefix("data: "))


@pytest.fixture
def events(caller) -> Iterator[Iterator[tuple[str, Any]]]:
    with caller.stream("GET", "/api/v1/events") as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        happened = told(response.iter_lines())
        kind, hello = next(happened)
        assert (kind, hello["site"]) == ("hello", "home")
        yield happened


def test_a_reading_and_the_alert_it_causes_arrive(events, caller, tank_low):
    caller.put("/api/v1/rules/tank-low", json=tank_low)
    caller.post("/api/v1/devices/tank-1/readings", json={"readings": {"level": 10}})
    found = {}
    while not {"alert"} <= set(found) or not {"reading", "device"} & set(found):
        kind, data = next(events)
        found[kind] = data
    assert found["alert"]["state"] == "firing"
    assert found.get("reading", {}).get("device", "tank-1") == "tank-1"


def test_only_the_newest_of_what_replaces_itself_is_sent():
    def reading(device: str, **values: float) -> tuple[str, dict[str, Any]]:
        return "reading", {"device": device, "t": 1, "values": values}

    alert = ("alert", {"id": "1"})
    happened = [
        reading("a", x=1),
        reading("b", x=1),
        alert,
        reading("a", x=2),
        reading("a", y=1),
        alert,
        reading("b", x=2),
    ]
    assert _newest(happened) == [alert, reading("a", x=2), reading("a", y=1), alert, reading("b", x=2)]


def test_a_quiet_appliance_still_gives_a_sign_of_life(monkeypatch, caller):
    monkeypatch.setattr(stream, "BEAT", 0.05)
    monkeypatch.setattr(stream, "LOOK", 0.05)
    with caller.stream("GET", "/api/v1/events") as response:
        kinds = [kind for kind, _ in zip(told(response.iter_lines()), range(3), strict=False)]
    assert [kind for kind, _ in kinds] == ["hello", "beat", "beat"]


def test_a_stream_ends_when_its_token_is_removed(monkeypatch, caller, accounts, app):
    monkeypatch.setattr(stream, "BEAT", 0.05)
    monkeypatch.setattr(stream, "LOOK", 0.05)
    with caller.stream("GET", "/api/v1/events") as response:
        lines = response.iter_lines()
        next(lines)
        accounts.remove_token("caller")
        for _ in lines:
            pass
    assert eventually(lambda: app.extensions["edge.streams"].open == 0)
