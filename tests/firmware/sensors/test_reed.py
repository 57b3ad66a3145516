"""Reed switch: a door that bounces is one change, and one opened and shut between two looks is told as both."""

from __future__ import annotations

from tests.firmware.sensors.bench import told

PART = """
door = Pin(26)
door.outside(0)
sensor = make("reed", {"pin": 26})
def wait(ms):
    time.sleep_ms(ms)
    ask(sensor)
"""


def test_the_pull_up_is_on_and_a_door_that_has_not_settled_says_nothing() -> None:
    assert told(PART + "wait(10)\nwait(30)\ntell(door.pull == Pin.PULL_UP)") == [{}, {"open": False}, True]


def test_bounces_are_one_change() -> None:
    said = told(
        PART
        + """
wait(50)
for _ in range(6):
    door.outside(1)
    time.sleep_ms(2)
    door.outside(0)
    time.sleep_ms(2)
    ask(sensor)
door.outside(1)
wait(10)
wait(25)
"""
    )
    assert [entry["open"] for entry in said] == [False] * 8 + [True]


def test_a_door_opened_and_shut_while_the_board_was_busy_is_told_as_both() -> None:
    said = told(
        PART
        + "wait(50)\ndoor.outside(1)\ntime.sleep_ms(2000)\ndoor.outside(0)\ntime.sleep_ms(2000)\nask(sensor)\nask(sensor)"
    )
    assert [entry["open"] for entry in said] == [False, True, False]


def test_a_contact_that_works_the_other_way_round() -> None:
    said = told(
        "Pin(26).outside(0)\nsensor = make('reed', {'pin': 26, 'invert': True})\ntime.sleep_ms(50)\nask(sensor)"
    )
    assert said == [{"open": True}]
