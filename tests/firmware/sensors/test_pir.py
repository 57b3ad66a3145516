"""PIR: silent while it warms up, true while it moves and `hold` seconds after, and a short movement is not missed."""

from __future__ import annotations

from tests.firmware.sensors.bench import told

PART = """
pir = Pin(27)
pir.outside(0)
sensor = make("pir", {"pin": 27})
def wait(seconds):
    time.sleep_ms(int(seconds * 1000))
    ask(sensor)
"""


def test_false_alarms_of_the_first_minute_are_not_told() -> None:
    assert told(PART + "pir.outside(1)\nwait(30)\npir.outside(0)\nwait(40)") == [{}, {"motion": False}]


def test_a_movement_that_ends_between_two_looks_is_told_and_held() -> None:
    said = told(
        PART + "wait(61)\npir.outside(1)\npir.outside(0)\nwait(1)\nwait(29)\nwait(2)\npir.outside(1)\nwait(0)\nwait(90)"
    )
    assert [entry["motion"] for entry in said] == [False, True, True, False, True, True]
