"""SHT3x: words by the data sheet's formula, with its checksum; every bit turned over, late, missing, and a bus held low."""

from __future__ import annotations

import pytest

from tests.firmware.sensors.bench import told

PART = "bus[0x44] = part = chips.Sht3x(bytes.fromhex({!r}))\nsensor = make('sht3x', WIRES)\n"


def crc(word: int) -> int:
    """Data sheet, 4.12: polynomial x8 + x5 + x4 + 1, start 0xFF; as a division of the whole, not byte by byte."""
    rest = (word << 8) ^ (0xFF << 16)
    for shift in range(15, -1, -1):
        if rest & (1 << (shift + 8)):
            rest ^= 0x131 << shift
    return rest & 0xFF


def frame(temperature: float, humidity: float) -> str:
    """What it sends for them (4.13)."""
    words = round((temperature + 45) / 175 * 65535), round(humidity / 100 * 65535)
    return "".join(f"{word:04x}{crc(word):02x}" for word in words)


def test_the_checksum_is_that_of_the_data_sheets_example() -> None:
    assert crc(0xBEEF) == 0x92


@pytest.mark.parametrize(("temperature", "humidity"), [(21.5, 48.2), (-39.9, 0), (124.9, 100), (0, 50)])
def test_what_it_measured_is_read(temperature: float, humidity: float) -> None:
    said = told(PART.format(frame(temperature, humidity)) + "ask(sensor)")
    assert said == [
        {"temperature": pytest.approx(temperature, abs=0.01), "humidity": pytest.approx(humidity, abs=0.01)}
    ]


def test_no_single_bit_turned_over_is_a_reading() -> None:
    said = told(PART.format(frame(21.5, 48.2)) + "for bit in range(48):\n    part.flip = bit\n    ask(sensor)")
    assert said == ["crc"] * 48


def test_one_that_is_late_missing_or_stops_listening_is_silent_and_a_held_line_is_stuck() -> None:
    said = told(
        PART.format(frame(21.5, 48.2))
        + """
part.takes = 40
ask(sensor)
part.takes, part.silent_after = 15, 1
ask(sensor)
part.silent_after = None
del bus[0x44]
ask(sensor)
bus[0x44] = part
Pin(21).outside(0)
ask(sensor)
Pin(21).outside(1)
ask(sensor)
"""
    )
    assert said[:-1] == ["silent", "silent", "silent", "stuck"]
    assert said[-1] == {"temperature": pytest.approx(21.5, abs=0.01), "humidity": pytest.approx(48.2, abs=0.01)}


def test_a_word_with_a_right_checksum_beyond_its_range_is_no_reading() -> None:
    assert told(PART.format(frame(-45, 50)) + "ask(sensor)") == ["range"]
