"""DHT11: whole and tenths in a byte each; the frames are computed after the data sheet's description."""

from __future__ import annotations

import pytest

from tests.firmware.sensors.bench import told


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ("3500 1804 51", {"temperature": 24.4, "humidity": 53}),
        ("3500 0A81 C0", {"temperature": -10.1, "humidity": 53}),
        ("3500 1804 50", "crc"),
        ("0200 1804 1E", "range"),
        ("3500 4600 7B", "range"),
        ("0000 0000 00", "stuck"),
    ],
)
def test_a_frame_is_a_reading_or_a_named_fault(frame: str, said: object) -> None:
    assert told(f"dht.frame = bytes.fromhex({frame!r})\nask(make('dht11', {{'pin': 4}}))") == [said]
