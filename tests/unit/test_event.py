"""The event a function gets is a CloudEvent by the official SDK's judgement, and the one INTERFACE.md shows."""

from __future__ import annotations

import msgspec
from cloudevents.v1.http import from_json

from edge_agent.domain import event
from edge_agent.domain.rules.spec import Match, Rule
from edge_agent.engine.record import Recorder
from edge_agent.ports import Entries

RULE = Rule(name="tank-low", devices="tank-*", reading="level", below=20, severity="critical", run=("mail", "note"))


def match(state: str = "firing", **more: object) -> Match:
    given: dict[str, object] = {
        "id": "tank-1/7f3a9c01d2e4b586/42/tank-low", "rule": RULE, "device": "tank-1", "reading": "level", "state": state,
        "at": 1_763_892_000_123, "value": 18.2, "previous": 19.9, "message": "tank-1 is down to 18.2 %",
        "readings": {"level": 18.2}, "since": 1_763_892_000_123, "episode": "tank-1/7f3a9c01d2e4b586/42/tank-low",
    }  # fmt: skip
    return Match(**(given | more))  # type: ignore[arg-type]


def test_the_official_sdk_reads_it_and_every_field_is_where_it_should_be() -> None:
    body = event.of_match(match(), "home", "%")
    read = from_json(body)
    assert read["id"] == "tank-1/7f3a9c01d2e4b586/42/tank-low"
    assert read["source"] == "/edge/home/devices/tank-1"
    assert read["type"] == "internal.edge.rule.firing"
    assert read["subject"] == "level"
    assert read["time"] == "2025-11-23T10:00:00.123Z"
    assert read["traceparent"].startswith("00-")
    assert read.data == {
        "device": "tank-1", "reading": "level", "value": 18.2, "unit": "%", "rule": "tank-low", "state": "firing",
        "severity": "critical", "message": "tank-1 is down to 18.2 %", "readings": {"level": 18.2}, "previous": 19.9,
    }  # fmt: skip


def test_the_same_match_makes_the_same_bytes() -> None:
    assert event.of_match(match(), "home", "%") == event.of_match(match(), "home", "%")


def entries(*matches: Match) -> Entries:
    made = Entries()
    Recorder("home", lambda device, reading: "%").add(made, matches, 99)
    return made


def test_a_firing_rule_makes_one_alert_and_one_invocation_for_each_function() -> None:
    made = entries(match())
    assert [(alert.state, alert.id, alert.message) for alert in made.alerts] == [
        ("firing", "tank-1/7f3a9c01d2e4b586/42/tank-low", "tank-1 is down to 18.2 %")
    ]
    assert [(i.function, i.id, i.cause) for i in made.invocations] == [
        ("mail", "tank-1/7f3a9c01d2e4b586/42/tank-low", "rule:tank-low"),
        ("note", "tank-1/7f3a9c01d2e4b586/42/tank-low", "rule:tank-low"),
    ]


def test_functions_run_only_on_the_states_they_are_for() -> None:
    assert entries(match("resolved")).invocations == []
    both = msgspec.structs.replace(RULE, run_on=("firing", "resolved"))
    assert len(entries(match("resolved", rule=both)).invocations) == 2


def test_what_is_found_late_is_recorded_and_wakes_nobody() -> None:
    made = entries(match(late=True))
    assert [alert.late for alert in made.alerts] == [True]
    assert made.invocations == []


def test_a_rule_that_sees_every_message_runs_functions_and_raises_no_alert() -> None:
    every = Rule(name="log", reading="level", every=True, run=("note",))
    made = entries(match("message", rule=every))
    assert made.alerts == []
    assert [i.function for i in made.invocations] == ["note"]
