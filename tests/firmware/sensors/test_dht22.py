"""DHT22: the data sheet's example frames (AM2302, "DATA"), and every single bit of one turned over."""

from __future__ import annotations

import pytest

from tests.firmware.sensors.bench import told


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ("028C 015F EE", {"temperature": 35.1, "humidity": 65.2}),
        ("028C 8065 73", {"temperature": -10.1, "humidity": 65.2}),
        ("028C 015F EF", "crc"),
        ("0000 0000 00", "stuck"),
        ("028C 7FFF 0C", "range"),
        ("0400 00C8 CC", "range"),
    ],
)
def test_a_frame_is_a_reading_or_a_named_fault(frame: str, said: object) -> None:
    assert told(f"dht.frame = bytes.fromhex({frame!r})\nask(make('dht22', {{'pin': 4}}))") == [said]


def test_no_single_bit_turned_over_is_a_reading() -> None:
    said = told("""
sensor = make("dht22", {"pin": 4})
for bit in range(40):
    frame = bytearray(bytes.fromhex("028C015FEE"))
    frame[bit >> 3] ^= 1 << (bit & 7)
    dht.frame = frame
    ask(sensor)
""")
    assert said == ["crc"] * 40


def test_one_that_is_not_there_is_silent_and_its_place_is_read_again_when_it_is() -> None:
    said = told("""
sensor = make("dht22", {"pin": 4})
ask(sensor)
dht.frame = bytes.fromhex("028C015FEE")
ask(sensor)
""")
    assert said == ["silent", {"temperature": 35.1, "humidity": 65.2}]
