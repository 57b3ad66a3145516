"""Soil moisture: percent between the two voltages that were measured, falling as it gets wet."""

from __future__ import annotations

import pytest

from tests.firmware.sensors.bench import told

OPTIONS = '{"pin": 34, "dry": 2400, "wet": 1000}'


@pytest.mark.parametrize(
    ("mv", "said"), [(2400, 0), (1700, 50), (1000, 100), (960, 100), (100, "range"), (3000, "range")]
)
def test_percent_between_dry_and_wet(mv: int, said: object) -> None:
    expected = said if isinstance(said, str) else {"moisture": said}
    assert told(f"machine.ADC.samples = [{mv * 1000}]\nask(make('soil', {OPTIONS}))") == [expected]


def test_without_both_voltages_it_says_how_to_get_them() -> None:
    said = told("""
try:
    make("soil", {"pin": 34, "dry": 2400})
except ValueError as error:
    tell(str(error))
""")
    assert said == ['needs dry and wet, in mV: what kind "analog" shows in air and in water']
