"""HC-SR04: echoes by the data sheet's 58 us a cm, a tank's level, and the echoes that are none."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.firmware.sensors.bench import told

WIRES = "Pin(18).outside(0)\nPin(19).outside(0)\n"


def asked(echoes: list[int], **options: object) -> object:
    given = {"trigger": 18, "echo": 19, **options}
    return told(WIRES + f"machine.echoes[:] = {echoes}\nask(make('hcsr04', {given}))")[0]


def test_the_median_of_five_is_the_distance_whatever_the_ladder_in_the_tank_returns() -> None:
    said = asked([100 * 58, 300, 100 * 58, -1, 100 * 58])
    # The data sheet's 58 us a cm are sound at 22.4 degrees; at 20 it is 0.4 % slower.
    assert said == {"distance": pytest.approx(100, rel=0.006)}


def test_warm_air_is_accounted_for() -> None:
    assert asked([5800] * 5, air=40) == {"distance": pytest.approx(5800 * 355.54 / 20_000, abs=0.1)}


@pytest.mark.parametrize(("cm", "litres"), [(120, 0), (70, 250), (20, 500), (118, 10), (123, 0), (18, 500)])
def test_a_tank_says_its_litres(cm: float, litres: float) -> None:
    us = round(cm / ((331.3 + 0.606 * 20) / 20_000))
    assert asked([us] * 5, empty=120, full=20, litres=500) == {"level": pytest.approx(litres, abs=0.2)}


@pytest.mark.parametrize(
    ("echoes", "fault"),
    [
        ([-2] * 5, "silent"),
        ([-1] * 5, "late"),
        ([40] * 5, "range"),
        ([25_000] * 5, "range"),
        ([5800, 5800, -1, -1, -1], "late"),
    ],
)
def test_what_is_no_echo_is_a_named_fault(echoes: list[int], fault: str) -> None:
    assert asked(echoes) == fault


def test_a_distance_outside_the_tank_is_no_level() -> None:
    assert asked([58 * 300] * 5, empty=120, full=20) == "range"


def test_an_echo_that_is_high_before_anything_was_sent_is_stuck() -> None:
    assert told("Pin(19).outside(1)\nask(make('hcsr04', {'trigger': 18, 'echo': 19}))") == ["stuck"]


def test_the_trigger_is_as_long_and_the_pauses_are_as_the_data_sheet_has_them() -> None:
    driven = told(
        WIRES
        + "machine.echoes[:] = [5800] * 5\nmake('hcsr04', {'trigger': 18, 'echo': 19}).read()\ntell(Pin(18).driven)"
    )[0]
    rises = [at for at, level in driven if level]
    falls = [at for at, level in driven[1:] if not level]
    assert [fall - rise for rise, fall in zip(rises, falls, strict=True)] == [10] * 5
    assert all(later - sooner >= 60_000 for sooner, later in pairwise(rises))
