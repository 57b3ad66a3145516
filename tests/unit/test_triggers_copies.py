"""One message that several subscriptions ask for: taken once, and two that say the same: twice."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_agent.adapters.mqtt_paho import packets, sieve
from edge_agent.adapters.mqtt_paho.packets import Publish
from edge_agent.adapters.mqtt_paho.sieve import Sieve, cross, crossing, identifiers
from tests.unit.test_triggers_topics import TOPICS, filters, model


@example("+", "/#")
@given(filters(), filters())
def test_filters_cross_when_there_is_a_topic_that_both_ask_for(one: str, other: str) -> None:
    shared = [topic for topic in TOPICS if model(one, topic) and model(other, topic)]
    assert cross(one, other) == cross(other, one) == bool(shared), shared[:3]


def test_only_filters_that_cross_another_are_marked() -> None:
    assert crossing(["house/+", "+/door", "garden/gate", "x/#"]) == ["house/+", "+/door", "x/#"]
    assert crossing(["a/b", "a/c"]) == []


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b"]), st.sampled_from([b"1", b"2"])), max_size=30), st.data())
def test_of_the_copies_of_each_message_one_is_taken_whatever_is_said_how_often(
    said: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    keep = Sieve()
    sent = [
        (topic, payload, identifier)
        for topic, payload in said
        for identifier in data.draw(st.permutations([1, 2, 3] if topic == b"a" else [2]))
    ]
    assert [(copy[0], copy[1]) for copy in sent if not keep.again(copy[0], copy[1], [copy[2]])] == said
    assert keep.copies == 2 * sum(topic == b"a" for topic, _ in said)


def test_a_broker_that_sends_one_copy_with_all_identifiers_is_taken_at_its_word() -> None:
    keep = Sieve()
    assert [keep.again(b"a", b"1", [1, 2]) for _ in range(3)] == [False, False, False]


def test_what_is_remembered_is_bounded_and_forgotten_with_the_subscriptions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sieve, "MAX_TOPICS", 4)
    keep = Sieve()
    for number in range(20):
        keep.again(b"%d" % number, b"1", [1])
    assert len(keep._last) <= 4
    keep.again(b"a", b"1", [1])
    keep.clear()
    assert not keep.again(b"a", b"1", [2])


def test_the_identifiers_are_found_among_all_other_properties() -> None:
    others = [
        b"\x01\x01", b"\x02\x00\x00\x00\x3c", b"\x23\x00\x05", b"\x03\x00\x04text", b"\x08\x00\x01r", b"\x09\x00\x02\x0b\x07",
        b"\x26\x00\x01k\x00\x02\x0b\x09",
    ]  # fmt: skip
    for order in itertools.islice(itertools.permutations([*others, b"\x0b\x05", b"\x0b\xff\xff\xff\x7f"]), 0, 5000, 37):
        assert sorted(identifiers(b"".join(order))) == [5, 268_435_455]


@given(st.binary(max_size=30))
def test_malformed_properties_cost_nothing_but_themselves(raw: bytes) -> None:
    assert isinstance(identifiers(raw), list)


def publish(topic: bytes, payload: bytes, mid: int, identifier: int) -> bytes:
    body = len(topic).to_bytes(2, "big") + topic + mid.to_bytes(2, "big") + bytes([2, 0x0B, identifier]) + payload
    return b"\x32" + bytes([len(body)]) + body


def test_copies_are_acknowledged_in_their_turn_and_nothing_else_becomes_of_them() -> None:
    published: list[Publish] = []
    stream = publish(b"a", b"1", 1, 7) + publish(b"a", b"1", 2, 8) + publish(b"a", b"1", 3, 7)
    packets.split(stream, True, published, [], Sieve().repeats)
    assert [(mid, topic) for mid, topic, _, _ in published] == [(b"\0\1", b"a"), (b"\0\2", b""), (b"\0\3", b"a")]
