from __future__ import annotations

import json
from typing import Any

import pytest

from edge_agent.decode import Decode, Decoded, Poison
from edge_agent.decode.register import MAX_DEVICES
from edge_agent.decode.values import name_of, value_of
from edge_agent.domain.message import MAX_PAYLOAD, Message, Rejected
from edge_agent.domain.reading import About, Presence, Sample

NOW = 1_763_888_889_000


def send(decode: Decode, topic: str, payload: Any) -> list[Decoded]:
    body = payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()
    return list(decode(Message(topic, body, NOW)))


def test_boards_without_sequence_numbers_are_counted_for_each_by_itself() -> None:
    decode = Decode("home", boot="b7")
    sent = [
        *send(decode, "kitchen/sensor/t/state", "1"),
        *send(decode, "kitchen/sensor/h/state", "2"),
        *send(decode, "tele/hall/SENSOR", {"AM2301": {"X": 1}}),
        *send(decode, "kitchen/binary_sensor/door/state", "ON"),
    ]
    numbers = [(one.device, one.boot, one.seq) for one in sent if isinstance(one, Sample)]
    assert numbers == [("kitchen", "b7", 1), ("kitchen", "b7", 2), ("hall", "b7", 1), ("kitchen", "b7", 3)]


def test_more_devices_than_can_be_counted_never_share_a_number() -> None:
    decode = Decode("home", boot="b7")
    seen = set()
    for _ in range(2):
        for device in range(MAX_DEVICES + 1):
            [sample] = send(decode, f"d{device}/sensor/x/state", "1")
            assert isinstance(sample, Sample)
            seen.add((sample.device, sample.boot, sample.seq))
    assert len(seen) == 2 * (MAX_DEVICES + 1)


def test_units_are_told_once_and_again_when_there_is_a_new_one() -> None:
    decode = Decode("home", boot="b7")
    states = [{"temperature": 1}, {"temperature": 2}, {"humidity": 3}, {"temperature": 1, "humidity": 4}]
    told = [[one for one in send(decode, "zigbee2mqtt/a", state) if isinstance(one, About)] for state in states]
    assert [len(one) for one in told] == [1, 0, 1, 0]
    assert set(told[2][0].readings) == {"temperature", "humidity"}


def test_a_silent_sensor_is_no_poison_and_no_reading() -> None:
    decode = Decode("home", boot="b7")
    for payload in ("nan", "NaN", "unavailable", "unknown", ""):
        assert send(decode, "kitchen/sensor/t/state", payload) == []
    assert send(decode, "tele/x/SENSOR", {"DS18B20": {"Temperature": None}}) == []
    assert send(decode, "zigbee2mqtt/x", {"temperature": None, "update": {"state": "idle"}}) == []


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("tele/x/SENSOR", "[]", "wrong-type"),
        ("tele/x/STATE", "7", "wrong-type"),
        ("tele/x/LWT", "online", "wrong-type"),
        ("tele/x/SENSOR", '{"A":{"B":1,"B":2}}', "duplicate-key"),
        ("tele/x/SENSOR", '{"A":{"B":1e999}}', "bad-number"),
        ("tele/x/SENSOR", '{"A":' * 17 + "1" + "}" * 17, "too-deep"),
        ("tele/x/SENSOR", json.dumps({"A": {f"B{n}": n for n in range(65)}}), "too-many-readings"),
        ("tele/x/SENSOR", json.dumps({"A": "x" * 257}), "too-long"),
        ("x/sensor/t/state", "1_000", "wrong-type"),
        ("x/sensor/t/state", "٣", "wrong-type"),
        ("x/sensor/t/state", "1e9999", "bad-number"),
        ("x/sensor/t/state", "-inf", "bad-number"),
        ("x/binary_sensor/t/state", "on", "wrong-type"),
        ("x/text_sensor/t/state", "x" * 257, "too-long"),
        ("x/sensor/t/state", "1" * (MAX_PAYLOAD + 1), "oversize"),
        ("zigbee2mqtt/x", "[]", "wrong-type"),
        ("zigbee2mqtt/x/y", "[]", "wrong-type"),
        ("zigbee2mqtt/x", '{"temperature":12345678901234567890}', "bad-number"),
        ("zigbee2mqtt/x/availability", "maybe", "not-json"),
        ("zigbee2mqtt/x/availability", '{"state":"maybe"}', "wrong-type"),
    ],
)
def test_foreign_poison_has_its_reason(topic: str, payload: str, reason: str) -> None:
    [rejected] = send(Decode("home", boot="b7"), topic, payload)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == reason


def test_housekeeping_of_zigbee2mqtt_may_be_as_long_as_it_likes() -> None:
    assert send(Decode("home", boot="b7"), "zigbee2mqtt/bridge/devices", "[" + "1," * MAX_PAYLOAD + "1]") == []


def test_bytes_that_are_no_text_are_rejected_by_every_dialect() -> None:
    decode = Decode("home", boot="b7")
    for topic in ("tele/x/SENSOR", "x/sensor/t/state", "x/text_sensor/t/state", "zigbee2mqtt/x"):
        [rejected] = decode(Message(topic, b'{"a":"\xff"}', NOW))
        assert isinstance(rejected, Rejected)
        assert rejected.reason == "bad-utf8"


def test_a_cached_state_that_zigbee2mqtt_publishes_again_is_dated_when_it_was_seen() -> None:
    [sample] = send(Decode("home", boot="b7"), "zigbee2mqtt/x", {"contact": True, "last_seen": NOW - 86_400_000})
    assert isinstance(sample, Sample)
    assert sample.t == NOW - 86_400_000


def test_presence_of_foreign_boards_is_kept_even_when_retained() -> None:
    decode = Decode("home", boot="b7")
    message = Message("kitchen/status", b"online", NOW, retained=True)
    assert list(decode(message)) == [Presence("kitchen", True, NOW)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Kitchen_Light 2", "kitchen-light-2"),
        ("Küche", "kuche"),
        ("kitchen/floor_light", "kitchen-floor-light"),
        ("0x00158d00018255df", "0x00158d00018255df"),
    ],
)
def test_names_of_others_become_ours(text: str, name: str) -> None:
    assert name_of(text) == name


def test_names_without_latin_letters_stay_apart() -> None:
    names = [name_of(text) for text in ("温度", "湿度", "客厅1", "卧室1", "!!!", "???")]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("raw", [float("nan"), float("inf"), 2**53 + 1, None, [], {}, "x" * 257, b"x"])
def test_what_is_no_value_is_refused(raw: Any) -> None:
    with pytest.raises(Poison):
        value_of(raw)
