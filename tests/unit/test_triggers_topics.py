"""Functions that ask for topics: which messages they get, what of them is recorded, and what they cost the others."""

from __future__ import annotations

import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.domain.filters import covers, fault, widest
from edge_agent.domain.function import MAX_PAYLOAD, FunctionSpec
from edge_agent.domain.invocation import Invocation
from edge_agent.domain.message import Message
from edge_agent.engine import triggers
from tests.unit.test_pipeline import LOW, NOW, World, reading

LEVELS = st.sampled_from(["a", "b", "", "$x", "+"])
TOPICS = [
    "/".join(levels)
    for length in (1, 2, 3, 4, 5)
    for levels in itertools.product(["a", "b", "", "$x", "other"], repeat=length)
    if levels != ("",)
]
"""Every topic of up to five levels over the names that filters here have, and one they do not."""


@st.composite
def filters(draw: st.DrawFn) -> str:
    levels = draw(st.lists(LEVELS, min_size=1, max_size=3)) + draw(st.sampled_from([[], ["#"]]))
    return "#" if levels == ["", "#"] and draw(st.booleans()) else "/".join(levels) or "a"


def model(filter_: str, topic: str) -> bool:
    """MQTT 5, 4.7.1 and 4.7.2, as a regular expression."""
    if topic.startswith("$") and filter_[0] in "+#":
        return False
    pattern = re.escape(filter_).replace(r"\+", "[^/]*")
    pattern = ".*" if pattern == r"\#" else re.sub(r"/\\#$", "(/.*)?", pattern)
    return re.fullmatch(pattern, topic) is not None


@given(filters(), st.sampled_from(TOPICS))
def test_a_filter_asks_for_what_the_standard_says(filter_: str, topic: str) -> None:
    assert covers(filter_, topic) == model(filter_, topic)


@given(filters(), filters())
def test_a_filter_covers_another_when_it_asks_for_every_topic_that_one_does(wide: str, narrow: str) -> None:
    missed = [topic for topic in TOPICS if model(narrow, topic) and not model(wide, topic)]
    assert covers(wide, narrow) == (not missed), missed[:3]


@given(st.lists(filters(), max_size=6))
def test_what_is_subscribed_brings_the_same_topics_and_nothing_that_another_brings_whole(wanted: list[str]) -> None:
    kept = widest(wanted)
    for topic in TOPICS[:400]:
        assert any(covers(one, topic) for one in kept) == any(covers(one, topic) for one in wanted)
    assert not [(one, other) for one, other in itertools.permutations(kept, 2) if covers(one, other)]


@pytest.mark.parametrize(
    ("filter_", "message", "hint"),
    [
        ("", "is no topic filter", "write for example"),
        ("a/b#", "# stands only alone and last", "edge/v1/#"),
        ("a/#/b", "# stands only alone and last", ""),
        ("a/+b", "+ stands only alone between slashes", ""),
        ("$share/group/a/+", "is a shared subscription", "write a/+"),
        ("$queue/a/b", "is a shared subscription", "write a/b"),
        ("$aws/things", "begins with $aws", "$SYS"),
        ("x" * 65536, "is no topic filter", ""),
        ("a\0b", "is no topic filter", ""),
        ("a\ud800", "is no topic filter", ""),
    ],
)
def test_filters_that_cannot_be_asked_for_are_refused_with_what_to_write_instead(
    filter_: str, message: str, hint: str
) -> None:
    said = fault(filter_)
    assert message in said[0]
    assert hint in said[1]


@pytest.mark.parametrize("filter_", ["#", "+", "/", "a//b", "$SYS/broker/uptime", "$SYS/#", "grüße/+/#"])
def test_filters_that_the_standard_allows_are_allowed(filter_: str) -> None:
    assert fault(filter_) == ("", "")


def function(name: str, *topics: str) -> FunctionSpec:
    return FunctionSpec(name, topics=topics)


def listening(*functions: FunctionSpec) -> World:
    world = World(LOW)
    world.triggers.replace({spec.name: spec for spec in functions})
    return world


def invocations(world: World) -> list[Invocation]:
    return [invocation for entries, _, _ in world.journal.commits for invocation in entries.invocations]


def test_a_message_and_its_readings_and_what_it_runs_are_one_commit_and_nothing_is_acknowledged_before() -> None:
    world = listening(function("log", "edge/v1/+/devices/+/readings"))
    world.take(reading(7, 50.0))
    ((entries, urgent, _),) = world.journal.commits
    assert urgent
    assert [sample.seq for sample in entries.samples] == [7]
    assert [(each.id, each.function, each.cause) for each in entries.invocations] == [
        ("tank-1/b1/7", "log", "topic:edge/v1/+/devices/+/readings")
    ]
    assert world.done == []
    world.journal.sync()
    assert [what for what, _ in world.done] == ["ack", "dispatch", "stored"]


def test_a_rule_and_a_topic_may_run_the_same_function_for_one_message_under_two_ids() -> None:
    world = listening(function("mail", "#"))
    world.take(reading(7, 10.0))
    assert {(each.id, each.function) for each in invocations(world)} == {
        ("tank-1/b1/7", "mail"),
        ("tank-1/b1/7/low", "mail"),
    }


def test_a_board_that_sends_again_runs_nothing_again() -> None:
    world = listening(function("log", "#"))
    world.take(reading(1, 50.0), reading(1, 50.0))
    world.take(reading(1, 50.0))
    assert [each.id for each in invocations(world)] == ["tank-1/b1/1"]


def test_a_batch_of_old_and_new_readings_runs_once_under_the_id_of_its_newest() -> None:
    world = listening(function("log", "edge/v1/home/devices/+/#"))
    world.take(reading(1, 50.0))
    body = [{"boot": "b1", "seq": seq, "t": NOW, "readings": {"level": 50}} for seq in (1, 2, 3)]
    world.take(Message("edge/v1/home/devices/tank-1/readings/batch", json.dumps(body).encode(), NOW))
    assert [each.id for each in invocations(world)] == ["tank-1/b1/1", "tank-1/b1/3"]


def test_messages_that_nobody_can_tell_apart_have_an_id_each_and_are_no_poison() -> None:
    world = listening(function("bell", "house/bell"))
    world.take(Message("house/bell", b"ring", NOW), Message("house/bell", b"ring", NOW))
    ((entries, _, _),) = world.journal.commits
    assert [each.id for each in entries.invocations] == ["mqtt/own/1", "mqtt/own/2"]
    assert entries.rejected == []
    assert json.loads(entries.invocations[0].event)["data"] == "ring"


def test_what_the_broker_had_kept_runs_nothing_and_what_is_published_with_retain_does() -> None:
    world = listening(function("log", "#"))
    world.take(Message("house/mode", b"away", NOW, retained=True), reading(1, 10.0, retained=True))
    assert invocations(world) == []
    world.take(Message("house/mode", b"away", NOW))
    assert [each.function for each in invocations(world)] == ["log"]


def test_poison_is_recorded_and_handed_on_to_who_asked_for_the_topic() -> None:
    world = listening(function("log", "edge/v1/#"))
    world.take(Message("edge/v1/home/devices/tank-1/readings", b"\xff\x00", NOW))
    ((entries, _, _),) = world.journal.commits
    assert [each.reason for each in entries.rejected] == ["bad-utf8"]
    assert json.loads(entries.invocations[0].event)["data_base64"] == "/wA="


def test_a_topic_nobody_asked_for_is_ignored_when_it_comes_with_what_somebody_did() -> None:
    world = listening(function("log", "house/#"))
    world.take(Message("elsewhere/x", b"1", NOW), Message("edge/v1/home/devices/tank-1/nonsense", b"1", NOW))
    ((entries, _, _),) = world.journal.commits
    assert not entries


def test_several_filters_of_one_function_run_it_once_by_the_first_that_fits() -> None:
    world = listening(function("a", "x/+", "x/#"), function("b", "+/y"), function("c", "z"))
    world.take(Message("x/y", b"1", NOW))
    assert [(each.function, each.cause, each.id) for each in invocations(world)] == [
        ("a", "topic:x/+", "mqtt/own/1"),
        ("b", "topic:+/y", "mqtt/own/1"),
    ]


def test_what_is_declared_later_counts_from_the_next_message_on() -> None:
    world = listening(function("a", "x"))
    world.take(Message("x", b"1", NOW))
    world.pipeline.replace([LOW], {"b": function("b", "x")})
    world.take(Message("x", b"2", NOW))
    world.pipeline.replace([LOW], {})
    world.take(Message("x", b"3", NOW))
    assert [each.function for each in invocations(world)] == ["a", "b"]


def test_a_message_that_fits_no_event_is_recorded_as_too_long_and_not_run() -> None:
    world = listening(function("log", "big"))
    world.take(Message("big", b"x" * (MAX_PAYLOAD + 1), NOW))
    ((entries, _, _),) = world.journal.commits
    assert entries.invocations == []
    assert [(each.reason, len(each.payload)) for each in entries.rejected] == [("oversize", 512)]
    assert "log" in entries.rejected[0].detail


def test_what_is_remembered_of_topics_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triggers, "MAX_TOPICS", 8)
    world = listening(function("log", "x/#"))
    world.take(*[Message(f"x/{number}", b"1", NOW) for number in range(50)])
    assert len(invocations(world)) == 50
    assert len(world.triggers._topics) <= 8


def test_invocations_are_counted_by_what_started_them_once_they_are_on_disk() -> None:
    world = listening(function("mail", "edge/v1/#"))
    world.take(reading(1, 10.0), reading(2, 9.0))
    assert world.triggers.started == {}
    world.journal.sync()
    assert world.triggers.started == {("mail", "rule"): 1, ("mail", "topic"): 2}


def test_the_dialects_filters_are_subscribed_unless_a_wider_one_is() -> None:
    world = listening(function("all", "tele/#"), function("one", "edge/v1/home/devices/tank-1/readings"))
    subscribed = world.triggers.subscriptions()
    assert "tele/#" in subscribed
    assert not [each for each in subscribed if each.startswith("tele/") and each != "tele/#"]
    assert "edge/v1/home/devices/+/readings" in subscribed
    assert "edge/v1/home/devices/tank-1/readings" not in subscribed
