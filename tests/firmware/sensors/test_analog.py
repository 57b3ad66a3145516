"""Analogue: straight lines between calibrated points, the median of nine, on both kinds of ADC."""

from __future__ import annotations

import pytest

from tests.firmware.sensors.bench import told

POINTS = '{"pin": 34, "points": [[500, 0], [1500, 50], [2500, 75]], "unit": "kPa", "class": "pressure"}'


@pytest.mark.parametrize(
    ("mv", "said"),
    [
        (500, 0),
        (1000, 25),
        (1500, 50),
        (2000, 62.5),
        (2500, 75),
        (450, 0),
        (2600, 75),
        (300, "range"),
        (2700, "range"),
        (0, "range"),
    ],
)
def test_the_value_lies_on_the_line_and_a_wire_that_came_off_is_no_value(mv: int, said: object) -> None:
    expected = said if isinstance(said, str) else {"value": said}
    assert told(f"machine.ADC.samples = [{mv * 1000}]\nask(make('analog', {POINTS}))") == [expected]


def test_spikes_of_wifi_are_left_out() -> None:
    samples = [3_000_000, 3_000_000, 0, 1_000_000, 1_000_000, 1_000_000, 1_000_000, 3_000_000, 1_000_000]
    assert told(f"machine.ADC.samples = {samples}\nask(make('analog', {POINTS}))") == [{"value": 25}]


def test_without_points_it_says_millivolts_also_on_an_esp8266_with_its_divider() -> None:
    said = told("""
machine.ADC.samples = [1234567]
ask(make("analog", {"pin": 34}))
import edge.sensors.analog
edge.sensors.analog.ADC = machine.SmallADC
machine.SmallADC.level = 65535
ask(make("analog", {"pin": 0}))
ask(make("analog", {"pin": 0, "full_mv": 1000}))
""")
    assert said == [{"voltage": 1234}, {"voltage": 3200}, {"voltage": 1000}]


def test_what_it_says_about_itself_is_what_was_configured() -> None:
    said = told(f"tell(make('analog', {POINTS}).readings)")
    assert said == [{"value": {"unit": "kPa", "class": "pressure", "min": 0, "max": 75}}]
