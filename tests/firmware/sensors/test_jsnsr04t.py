"""JSN-SR04T: an HC-SR04 that is blind below 20 cm and hears as far as 600."""

from __future__ import annotations

import pytest

from tests.firmware.sensors.bench import told


@pytest.mark.parametrize(
    ("us", "said"),
    [(29_000, {"distance": pytest.approx(500, rel=0.006)}), (1000, "range"), (36_000, "range"), (-1, "late")],
)
def test_its_range_is_its_own(us: int, said: object) -> None:
    code = f"Pin(19).outside(0)\nmachine.echoes[:] = [{us}] * 5\nask(make('jsnsr04t', {{'trigger': 18, 'echo': 19}}))"
    assert told(code) == [said]


def test_a_tank_whose_full_level_is_in_its_blind_zone_is_refused() -> None:
    said = told("""
try:
    make("jsnsr04t", {"trigger": 18, "echo": 19, "empty": 120, "full": 10})
except ValueError as error:
    tell(str(error))
""")
    assert said == ["full, then empty: distances from 20 to 600 cm"]
