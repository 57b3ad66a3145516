"""What starts functions, end to end: a real Mosquitto, the agent in a process of its own, real workers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from tests.agent import EDGECTL, Agent
from tests.broker import Broker
from tests.clock import now_ms
from tests.functions.house import READINGS, Board, diary, function, house, metric
from tests.waiting import eventually


class Home(NamedTuple):
    """One agent and what runs on it, for tests that kill nobody."""

    folder: Path
    agent: Agent
    board: Board


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("home")
    with Broker() as broker:
        manifests = [
            "apiVersion: edge.internal/v1alpha1\nkind: Rule\nmetadata: {name: low}\n"
            "spec: {devices: 'well-*', reading: level, below: 20, run: [first]}\n",
            function(folder, "log", '{topic: "edge/v1/+/devices/tank-1/readings"}, {topic: "house/#"}'),
            function(folder, "door"),
            function(folder, "deep", '{topic: "circle"}'),
            function(folder, "first"),
            function(folder, "second", "{resultOf: first}"),
            function(folder, "third", "{resultOf: second}"),
            function(folder, "also", "{resultOf: first}"),
            function(folder, "parrot", '{topic: "echo/#"}', env=f", PORT: {broker.port}, SAY: echo/again"),
        ]
        settings = {"functions.messages_per_minute": 20}
        with Agent(folder / "agent", broker.port, manifests="".join(manifests), settings=settings) as agent:
            board = Board(broker.port)
            yield Home(folder, agent, board)
            board.close()


def test_messages_of_boards_and_of_anybody_else_run_who_asked_for_their_topic(home: Home) -> None:
    home.board.reading(1, 18.2)
    home.board.say("house/door", b'{"open": true}')
    home.board.say("house/bell", "läutet")
    home.board.say("house/camera", b"\x89PNG\x00\xff")
    home.board.say("elsewhere/door", b"1")
    events = eventually(lambda: (found := diary(home.folder, "log"))[3:] and found)
    assert [event["subject"] for event in events] == [READINGS, "house/door", "house/bell", "house/camera"]
    assert {event["type"] for event in events} == {"internal.edge.message"}
    assert {event["source"] for event in events} == {"/edge/home/mqtt"}
    assert events[0]["id"] == "tank-1/b1/1"
    assert events[0]["data"]["readings"] == {"level": 18.2}
    assert events[1]["data"] == {"open": True}
    assert events[2]["data"] == "läutet"
    assert events[3]["data_base64"] == "iVBORwD/"
    assert home.agent.get("/devices/tank-1")["readings"]["level"]["value"] == 18.2, "stored as ever"
    assert metric(home.agent, "edge_messages_rejected_total") == {}, "what is nobody's reading is no poison"
    counted = 'edge_function_triggers_total{function="log",trigger="topic"}'
    eventually(lambda: metric(home.agent, counted) == {counted: 4.0})


def test_a_result_starts_who_follows_with_its_way_and_trace_shows_the_chain(home: Home) -> None:
    body = {"boot": "b1", "seq": 1, "t": now_ms(), "readings": {"level": 10.0}}
    home.board.say("edge/v1/home/devices/well-1/readings", json.dumps(body))
    (third,) = eventually(lambda: diary(home.folder, "third"))
    assert third["id"] == "well-1/b1/1/low~first~second"
    assert third["type"] == "internal.edge.result"
    assert third["data"] == {"by": "second"}
    assert (third["edgecause"], third["edgedepth"]) == ("rule:low > first > second", 2)
    (first,) = diary(home.folder, "first")
    assert third["traceparent"].split("-")[1] == first["traceparent"].split("-")[1]
    eventually(lambda: diary(home.folder, "also"))
    found = [each for each in home.agent.get("/invocations")["items"] if each["id"].startswith("well-1")]
    assert {each["function"]: each["cause"] for each in found} == {
        "first": "rule:low", "second": "result:first", "also": "result:first", "third": "result:second",
    }  # fmt: skip
    for id in ("well-1/b1/1", "well-1/b1/1/low"):
        shown = home.agent.run("trace", id)
        assert shown.returncode == 0, shown.stderr
        for words in ("first, by rule:low", "second, by result:first", "third, by result:second"):
            assert words in shown.stdout


def test_a_chain_that_runs_in_a_circle_over_the_broker_ends_in_the_dead_letters(home: Home) -> None:
    home.board.say("circle", b'{"edgedepth": 15, "edgecause": "rule:x > deep"}')
    (event,) = eventually(lambda: diary(home.folder, "deep"))
    assert event["edgedepth"] == 16
    home.board.say("circle", b'{"edgedepth": 16, "edgecause": "rule:x > deep"}')
    (dead,) = eventually(lambda: home.agent.get("/deadletters")["items"])
    assert dead["kind"] == "too-deep"
    assert "step 17 of a chain of functions, and 16 are run: rule:x > deep > topic:circle" in dead["reason"]
    assert len(diary(home.folder, "deep")) == 1


def test_a_function_that_starts_itself_without_end_raises_an_alarm_that_says_what_to_do(home: Home) -> None:
    home.board.say("echo/first", "1")
    alarms = eventually(
        lambda: [each for each in home.agent.get("/status")["alarms"] if each["name"] == "trigger-rate"], 40
    )
    assert "parrot" in alarms[0]["summary"]
    assert "take that out of its triggers" in alarms[0]["summary"]
    deleted = home.agent.run("delete", "functions", "parrot", "--yes")
    assert deleted.returncode == 0, deleted.stderr


def test_a_whole_cloudevent_that_is_posted_is_handed_on_and_a_bad_one_answered_with_every_fault(home: Home) -> None:
    attributes = {
        "specversion": "1.0",
        "id": "ünique 1",
        "source": "/shop",
        "type": "shop.order",
        "priority": "high",
    }
    order = CloudEvent(attributes | {"datacontenttype": "application/json"}, {"eggs": 12})
    picture = CloudEvent(attributes | {"datacontenttype": "image/png"}, b"\x89PNG\x00")
    route = "/api/v1/functions/door/invocations"
    for message in (
        to_structured_event(order),
        to_binary_event(order),
        to_structured_event(picture),
        to_binary_event(picture),
    ):
        answer = home.agent.http("POST", route, content=message.body, headers=message.headers)
        assert answer.json() == {"by": "door"}, answer.text
    got = [
        from_structured_event(HTTPMessage({"content-type": "application/cloudevents+json"}, json.dumps(event).encode()))
        for event in diary(home.folder, "door")
    ]
    assert [(event.get_attributes(), event.get_data()) for event in got] == [
        (sent.get_attributes(), sent.get_data()) for sent in (order, order, picture, picture)
    ]
    bad = {"specversion": "1.0", "id": "", "source": "a b", "time": "noon"}
    refused = home.agent.http("POST", route, json=bad, headers={"Content-Type": "application/cloudevents+json"})
    assert refused.status_code == 400
    assert all(name in refused.text for name in ("id", "source", "type", "time"))
    refused = home.agent.http("POST", route, content=b"{}", headers={"ce-id": "1", "Content-Type": "application/json"})
    assert refused.status_code == 400
    assert len(diary(home.folder, "door")) == 4
    found = home.agent.get("/invocations", function="door")["items"]
    assert {each["cause"] for each in found} == {"http"}


def test_what_the_broker_kept_runs_nothing_and_what_is_retained_while_we_listen_does(tmp_path: Path) -> None:
    with house(tmp_path, function(tmp_path, "other", '{topic: "none"}')) as (agent, board, _):
        board.say("house/mode", "away", retain=True)
        agent.declare(function(tmp_path, "log", '{topic: "house/#"}'))
        agent.reload()
        board.say("house/mode", "home", retain=True)
        eventually(lambda: board.say("house/tick", "1") or diary(tmp_path, "log"))
        said = [event["data"] for event in diary(tmp_path, "log") if event["subject"] == "house/mode"]
        assert said in ([], ["home"]), "never what was there before"
        board.say("house/mode", "night", retain=True)
        eventually(lambda: "night" in [event["data"] for event in diary(tmp_path, "log")])


def test_check_and_apply_judge_triggers(tmp_path: Path) -> None:
    good = function(tmp_path, "log", '{topic: "house/#"}, {resultOf: other}') + function(tmp_path, "other", "")
    bad = good.replace("house/#", "house/#/x").replace("resultOf: other", "resultOf: othr")
    (tmp_path / "bad.yaml").write_text(bad)
    (tmp_path / "good.yaml").write_text(good)
    said = ("# stands only alone and last", "there is no function othr (did you mean other?)")
    checked = subprocess.run([EDGECTL, "check", tmp_path / "bad.yaml"], capture_output=True, text=True, check=False)
    assert checked.returncode == 2
    assert all(words in checked.stderr for words in said), checked.stderr
    assert subprocess.run([EDGECTL, "check", tmp_path / "good.yaml"], check=False).returncode == 0
    with house(tmp_path, "") as (agent, _, _):
        applied = agent.run("apply", "-f", str(tmp_path / "bad.yaml"))
        assert applied.returncode == 2
        assert said[0] in applied.stderr, applied.stderr
        assert agent.get("/functions")["items"] == []


def test_an_old_version_of_mqtt_brings_what_was_asked_for_too(tmp_path: Path) -> None:
    settings = {"mqtt.protocol": "3.1.1"}
    manifest = function(tmp_path, "log", '{topic: "house/#"}, {topic: "+/door"}')
    with house(tmp_path, manifest, **settings) as (_, board, _):
        board.say("house/door", "1")
        board.say("garden/door", "2")
        eventually(lambda: [event["data"] for event in diary(tmp_path, "log")] == [1, 2])
