from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.decode import REASONS, Decode, Decoded
from edge_agent.decode.native import MAX_RECORDED
from edge_agent.domain.message import Message, Rejected
from edge_agent.domain.reading import About, Presence, Sample
from edge_agent.errors import NotFound
from tests.contract.payloads import POISON, SITE, Bad, encoded, poison, topics, valid_native

NOW = 1_763_888_889_000
BASE = f"edge/v1/{SITE}/devices/tank-1/"


def decode(
    kind: str, payload: bytes | str | dict[str, Any] | list[Any], *, retained: bool = False
) -> Sequence[Decoded]:
    if isinstance(payload, dict | list):
        payload = json.dumps(payload)
    if isinstance(payload, str):
        payload = payload.encode()
    return Decode(SITE, boot="b0")(Message(BASE + kind, payload, NOW, retained))


def reading(seq: int, **changes: Any) -> dict[str, Any]:
    return {"boot": "b1", "seq": seq, "t": NOW - 1000, "readings": {"level": 18.2, "door": True}} | changes


def reasons(decoded: Sequence[Decoded]) -> list[str]:
    return [one.reason for one in decoded if isinstance(one, Rejected)]


def samples(decoded: Sequence[Decoded]) -> list[Sample]:
    return [one for one in decoded if isinstance(one, Sample) and one.values]


def test_the_payload_of_the_interface_document_becomes_one_sample() -> None:
    payload = '{"boot":"7f3a9c01d2e4b586","seq":42,"t":1763888888123,"readings":{"level":18.2,"door":true}}'
    assert list(decode("readings", payload)) == [
        Sample("tank-1", "7f3a9c01d2e4b586", 42, 1763888888123, NOW, {"level": 18.2, "door": True})
    ]


@pytest.mark.parametrize("t", [{"t": None}, {}])
def test_a_reading_without_a_clock_is_dated_by_its_receipt_less_its_age(t: dict[str, None]) -> None:
    payload = {"boot": "b1", "seq": 1, "age": 4_000, "readings": {"level": 1}} | t
    [sample] = samples(decode("readings", payload))
    assert (sample.t, sample.dated) == (NOW - 4_000, False)


def test_a_board_that_knows_the_time_is_believed_even_where_it_says_an_age() -> None:
    [sample] = samples(decode("readings", reading(1, age=4_000)))
    assert (sample.t, sample.dated) == (NOW - 1000, True)


def test_oldest_passes_through_but_never_beyond_its_own_message() -> None:
    assert [sample.oldest for sample in samples(decode("readings", reading(7, oldest=5)))] == [5]
    assert [sample.oldest for sample in samples(decode("readings", reading(7, oldest=9)))] == [7]


def test_fields_of_a_later_protocol_are_ignored() -> None:
    assert samples(decode("readings", reading(1, later={"nested": [1, 2]})))


def test_a_string_with_colons_is_no_duplicate_key() -> None:
    [sample] = samples(decode("readings", reading(1, readings={"text": "a:b:c", "mac": "00:11:22"})))
    assert sample.values == {"text": "a:b:c", "mac": "00:11:22"}


def test_numbers_keep_their_kind() -> None:
    [sample] = samples(decode("readings", reading(1, readings={"a": 1, "b": 1.0, "c": True, "d": "1"})))
    assert [type(value) for value in sample.values.values()] == [int, float, bool, str]


def test_what_the_broker_had_kept_triggers_nothing() -> None:
    for kind, payload in (("readings", reading(1)), ("readings/batch", [reading(1), reading(2)])):
        assert all(not sample.live for sample in samples(decode(kind, payload, retained=True)))


def test_a_batch_is_taken_in_its_order() -> None:
    batch = [reading(3), reading(1, oldest=1), reading(2, t=None, age=9)]
    assert [sample.seq for sample in samples(decode("readings/batch", batch))] == [3, 1, 2]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('{"boot":"b1","seq":2,"t":1,"readings":{"level":NaN}}', "bad-number"),
        ('{"boot":"b1","seq":2,"t":1,"readings":{"level":"\\ud800"}}', "bad-utf8"),
        ('{"boot":"b1","seq":2,"t":-1,"readings":{"level":1}}', "bad-time"),
        ('{"boot":"b1","seq":2,"t":1,"readings":{"Level":1}}', "bad-name"),
        ('{"boot":"b1","seq":2,"t":1,"readings":{"level":1,"level":2}}', "duplicate-key"),
        ("17", "wrong-type"),
    ],
)
def test_one_bad_element_of_a_batch_does_not_cost_the_good_ones(bad: str, reason: str) -> None:
    payload = f"[{json.dumps(reading(1))},{bad},{json.dumps(reading(3))}]"
    decoded = decode("readings/batch", payload)
    assert [sample.seq for sample in samples(decoded)] == [1, 3]
    [rejected] = [one for one in decoded if isinstance(one, Rejected)]
    assert rejected.reason == reason
    assert "element 2 of 3" in rejected.detail
    assert rejected.payload.startswith(bad[:9].encode().replace(b":", b": "))


def test_a_batch_of_nothing_but_poison_leaves_a_bounded_record_that_counts_all() -> None:
    decoded = decode("readings/batch", [1] * 5_000)
    assert len(decoded) == MAX_RECORDED
    assert f"{5_000 - MAX_RECORDED + 1} more" in decoded[-1].detail  # type: ignore[union-attr]


def test_a_bad_reading_whose_number_can_be_read_does_not_hold_up_the_acks() -> None:
    [rejected, closing] = decode("readings", reading(42, readings={"level": None}))
    assert isinstance(rejected, Rejected)
    assert closing == Sample("tank-1", "b1", 42, NOW, NOW, {}, dated=False, live=False)


@pytest.mark.parametrize(
    "payload", ["nonsense", "[]", '{"boot":"b1","seq":1,"seq":2,"readings":{"a":1}}', '{"boot":"B","seq":1}']
)
def test_a_bad_reading_whose_number_cannot_be_read_is_only_recorded(payload: str) -> None:
    assert [type(one) for one in decode("readings", payload)] == [Rejected]


def test_status_is_presence() -> None:
    assert list(decode("status", b"online")) == [Presence("tank-1", True, NOW)]
    assert list(decode("status", b"offline", retained=True)) == [Presence("tank-1", False, NOW)]
    assert reasons(decode("status", b"Online")) == ["wrong-type"]


def test_about_keeps_model_firmware_and_attributes_of_readings() -> None:
    about = {"model": "esp32", "firmware": "1.2", "readings": {"level": {"unit": "%", "min": 0, "max": 100, "x": None}}}
    assert list(decode("about", about, retained=True)) == [
        About("tank-1", NOW, "esp32", "1.2", {"level": {"unit": "%", "min": 0, "max": 100}})
    ]


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ('{"readings":{"Level":{}}}', "bad-name"),
        ('{"readings":[]}', "wrong-type"),
        ('{"readings":{"level":1}}', "wrong-type"),
        ('{"model":1}', "wrong-type"),
        ('{"model":"' + "x" * 257 + '"}', "too-long"),
        ('{"model":"a","model":"b"}', "duplicate-key"),
        ('{"readings":{"level":{"max":1e999}}}', "bad-number"),
        (json.dumps({"readings": {f"r{number}": {} for number in range(65)}}), "too-many-readings"),
        (json.dumps({"readings": {"level": {f"a{number}": 1 for number in range(17)}}}), "too-many-readings"),
    ],
)
def test_a_bad_about_is_rejected(about: str, reason: str) -> None:
    assert reasons(decode("about", about)) == [reason]


@pytest.mark.parametrize("kind", ["readings", "readings/batch", "status", "about"])
def test_a_cleared_retained_topic_says_nothing(kind: str) -> None:
    assert list(decode(kind, b"", retained=True)) == []


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        (BASE + "weather", "bad-topic"),
        (f"edge/v1/{SITE}/devices/Tank 1/readings", "bad-name"),
        (f"edge/v1/{SITE}/devices//readings", "bad-name"),
        (f"edge/v1/{SITE}/devices/{'a' * 64}/readings", "bad-name"),
        ("edge/v1/elsewhere/devices/tank-1/readings", "bad-topic"),
        ("some/where", "bad-topic"),
        ("", "bad-topic"),
    ],
)
def test_a_topic_nobody_knows_is_rejected(topic: str, reason: str) -> None:
    assert reasons(Decode(SITE, boot="b0")(Message(topic, b"1", NOW))) == [reason]


@pytest.mark.parametrize("kind", ["ack", "cmd/pump", "state/pump"])
def test_topics_of_a_board_that_are_no_readings_are_passed_over(kind: str) -> None:
    assert list(decode(kind, b"on")) == []


def test_the_agent_is_told_which_dialect_a_topic_belongs_to() -> None:
    decode = Decode(SITE, boot="b0")
    topics = [BASE + "readings", "tele/x/SENSOR", "x/sensor/y/state", "zigbee2mqtt/x", "a/b/c/d"]
    assert [decode.dialect(topic) for topic in topics] == ["native", "tasmota", "esphome", "zigbee2mqtt", "unknown"]


def test_only_the_dialects_asked_for_are_listened_to() -> None:
    decode = Decode(SITE, ["native"], boot="b0")
    assert all(topic.startswith("edge/v1/home/") for topic in decode.filters())
    assert reasons(decode(Message("tele/x/SENSOR", b"{}", NOW))) == ["bad-topic"]
    with pytest.raises(NotFound, match="no dialect modbus"):
        Decode(SITE, ["modbus"], boot="b0")


@pytest.mark.parametrize("reason", sorted(POISON))
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_every_kind_of_poison_gets_its_reason(reason: str, data: st.DataObject) -> None:
    assert reasons(decode("readings", data.draw(POISON[reason]))) == [reason]


@given(bad=poison())
@settings(max_examples=200, deadline=None)
def test_poison_is_never_a_reading(bad: Bad) -> None:
    decoded = Decode(SITE, boot="b0")(Message(bad.topic, bad.payload, NOW))
    assert reasons(decoded) == [bad.reason]
    assert not samples(decoded)


@given(data=st.data(), topic=topics(), document=valid_native())
@settings(max_examples=300, deadline=None)
def test_every_valid_reading_comes_through_whole(data: st.DataObject, topic: str, document: dict[str, Any]) -> None:
    [sample] = Decode(SITE, boot="b0")(Message(topic, data.draw(encoded(document)), NOW))
    assert isinstance(sample, Sample)
    assert (sample.boot, sample.seq) == (document["boot"], document["seq"])
    assert sample.values == document["readings"]
    assert [type(value) for value in sample.values.values()] == list(map(type, document["readings"].values()))
    assert sample.t == document["t"] if document.get("t") is not None else max(0, NOW - document.get("age", 0))
    assert sample.oldest == document.get("oldest", 0)


@given(data=st.data(), documents=st.lists(valid_native(), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_a_batch_says_the_same_as_its_readings_one_by_one(data: st.DataObject, documents: list[dict[str, Any]]) -> None:
    together = decode("readings/batch", data.draw(encoded(documents)))
    assert list(together) == [sample for document in documents for sample in decode("readings", document)]


@given(
    topic=st.one_of(
        topics(), topics("readings/batch"), topics("about"), topics("status"), st.text(max_size=60),
        st.sampled_from(["tele/x/SENSOR", "tele/x/STATE", "tele/x/LWT", "x/sensor/y/state", "x/binary_sensor/y/state",
                         "x/status", "zigbee2mqtt/a", "zigbee2mqtt/a/b", "zigbee2mqtt/a/availability"]),
    ),
    payload=st.one_of(
        st.binary(max_size=200),
        st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
            lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
        ).map(lambda tree: json.dumps(tree).encode()),
    ),
    retained=st.booleans(),
)  # fmt: skip
@settings(max_examples=1000, deadline=None)
def test_no_bytes_on_any_topic_raise_or_leave_anything_but_values(topic: str, payload: bytes, retained: bool) -> None:
    for one in Decode(SITE, boot="b0")(Message(topic, payload, NOW, retained)):
        if isinstance(one, Rejected):
            assert one.reason in REASONS
            assert one.reason != "decoder-fault", one.detail
            assert len(one.payload) <= 512
        elif isinstance(one, Sample):
            assert json.loads(json.dumps(one.values, allow_nan=False).encode()) == one.values
            assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for name in (one.device, *one.values))


@pytest.mark.parametrize(
    "hostile",
    [
        '"' + '\\"' * 30_000,
        "[" * 20 + '"' + '\\"' * 30_000,
        "{" + ",".join(f'"{number}":1' for number in range(6_000)) + ',"1":2}',
        "[" * 60_000,
        "9" * 60_000,
        "[" + ",".join(["{}"] * 20_000) + "]",
        '"' + "\\ud800" * 10_000 + '"',
    ],
    ids=["quotes", "open-quotes", "keys", "brackets", "digits", "empty-objects", "surrogates"],
)
@pytest.mark.timeout(10)
def test_no_message_of_64_kib_keeps_the_decoder_busy(hostile: str) -> None:
    for kind in ("readings", "readings/batch", "about"):
        assert reasons(decode(kind, hostile))
