"""Which command an event is, and which settings are refused. tests/functions/real/ moves a board over a real broker."""

from __future__ import annotations

import os

import pytest

GOOD = {"ACTUATE_TARGETS": "tank-*/pump, hall/lamp, hall/heater", "EDGE_SECRETS": "/nowhere"}
os.environ.update(GOOD)

from actuate import Misconfigured, Permanent, Settings, command, seconds


def settings(**changes: str) -> Settings:
    return Settings.read(GOOD | changes)


def event(**data: object) -> dict[str, object]:
    return {"id": "tank-1/7f3a/42/low", "source": "/edge/home/devices/tank-1", "data": data}


def test_a_rule_that_fires_sets_the_value_for_the_longest_time():
    found = command(event(device="tank-1", state="firing", value=18.2), settings())
    assert (found.base, found.actuator) == ("edge/v1/home/devices/tank-1", "pump")
    assert found.document(1795428000.5) == {
        "id": "tank-1/7f3a/42/low",
        "t": 1795428000500,
        "value": True,
        "for": 600_000,
    }


def test_a_rule_that_is_over_sets_it_to_rest_without_a_time():
    document = command(event(device="tank-1", state="resolved", value=25), settings()).document(0)
    assert document == {"id": "tank-1/7f3a/42/low", "t": 0, "value": False}


def test_values_may_be_turned_round_or_be_numbers():
    turned = settings(ACTUATE_VALUE="0", ACTUATE_REST="21.5")
    assert command(event(device="tank-1", state="firing"), turned).value == 0
    assert command(event(device="tank-1", state="resolved"), turned).value == 21.5


def test_another_device_than_the_one_that_measured_can_be_moved():
    found = command(event(device="tank-1", state="firing"), settings(ACTUATE_DEVICE="tank-9"))
    assert found.device == "tank-9"


def test_a_command_in_the_data_names_everything():
    found = command(event(device="hall", actuator="lamp", value="dim", **{"for": 1500}), settings())
    assert (found.device, found.actuator, found.value, found.lasts) == ("hall", "lamp", "dim", 1.5)


def test_the_site_is_the_events_unless_it_is_set():
    elsewhere = event(device="tank-1") | {"source": "/edge/barn/devices/tank-1"}
    assert command(elsewhere, settings()).base.startswith("edge/v1/barn/")
    assert command(elsewhere, settings(MQTT_SITE="shed")).base.startswith("edge/v1/shed/")
    assert command(elsewhere | {"source": "urn:other"}, settings()).base.startswith("edge/v1/home/")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            {"device": "hall", "actuator": "door", "value": True},
            "hall/door may not be moved: add it to ACTUATE_TARGETS",
        ),
        ({"device": "tank-1/x", "actuator": "pump"}, "which device?"),
        ({"device": "tank-1", "actuator": "pump/x"}, "may not be moved"),
        ({"device": "hall", "state": "firing"}, "which actuator of hall? ACTUATE_TARGETS allows heater, lamp"),
        ({"device": "cellar", "state": "firing"}, "which actuator of cellar? ACTUATE_TARGETS allows none"),
        ({"device": "tank-1", "actuator": "pump", "value": True, "for": "11m"}, "for is 11m: at most ACTUATE_FOR"),
        ({"device": "tank-1", "actuator": "pump", "value": True, "for": -1}, "for is -1"),
        ({}, "which device?"),
    ],
)
def test_what_may_not_be_moved_is_a_permanent_error(data, said):
    with pytest.raises(Permanent) as caught:
        command(event(**data), settings())
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [("500ms", 0.5), ("1.5m", 90), ("2h", 7200), (1500, 1.5), ("soon", 0), (True, 0), (None, 0), (-5, 0)],
)
def test_times_have_a_unit_or_are_milliseconds(text, found):
    assert seconds(text) == found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ACTUATE_TARGETS": ""}, "ACTUATE_TARGETS does not say what may be moved: write device/actuator"),
        ({"ACTUATE_TARGETS": "pump"}, "ACTUATE_TARGETS does not say what may be moved"),
        ({"ACTUATE_FOR": "ever"}, "ACTUATE_FOR is ever: write a number and a unit, as in 10m"),
        ({"ACTUATE_WAIT": "0"}, "ACTUATE_WAIT is 0: write a number and a unit, as in 5s"),
        ({"ACTUATE_VALUE": "on"}, "ACTUATE_VALUE is on: write true, false, a number, or a string in quotes"),
        ({"MQTT_PORT": "99999"}, "MQTT_PORT is 99999: write a number from 1 to 65535"),
    ],
)
def test_a_wrong_setting_says_what_to_write(change, said):
    with pytest.raises(Misconfigured) as caught:
        settings(**change)
    assert said in str(caught.value)
