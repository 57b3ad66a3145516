"""functions/thermostat with a heater on a board, a room that warms up, and Mosquitto."""

from __future__ import annotations

import json

import paho.mqtt.subscribe

from tests.broker import Broker
from tests.functions.real import stage
from tests.functions.real.board import ActuatorBoard
from tests.functions.shelf import Shelf
from tests.waiting import eventually

PLAN = {
    "THERMOSTAT_SCHEDULE": "00:00=20",
    "THERMOSTAT_TIME_ZONE": "",
    "THERMOSTAT_LEAST_ON": "0s",
    "THERMOSTAT_LEAST_OFF": "0s",
}


def begin(shelf: Shelf, broker: Broker, **env: str) -> None:
    """Running, and told once what the room is like: the first reading only finds its feet."""
    stage.declare(shelf, "thermostat", {"MQTT_PORT": str(broker.port)} | PLAN | env)
    shelf.start()
    assert tell(shelf, 18.0)["on"] is False


def tell(shelf: Shelf, temperature: float) -> dict[str, object]:
    return shelf.answer("thermostat", {"device": "hall", "reading": "temperature", "value": temperature})  # type: ignore[no-any-return]


def door(shelf: Shelf, *, opened: bool) -> dict[str, object]:
    return shelf.answer("thermostat", {"device": "hall-door", "reading": "open", "value": opened})  # type: ignore[no-any-return]


def test_a_cold_room_is_heated_until_it_is_warm_and_not_past_an_open_door(shelf: Shelf, broker: Broker) -> None:
    with ActuatorBoard(broker.port, "boiler", "heater") as board:
        begin(shelf, broker)
        assert tell(shelf, 18.0)["on"] is True
        board.eventually(True)
        assert board.commands[-1]["for"] == 900_000
        assert tell(shelf, 19.9)["run"] is None
        assert door(shelf, opened=True)["on"] is False
        board.eventually(False)
        assert tell(shelf, 12.0)["on"] is False
        assert door(shelf, opened=False)["on"] is True
        board.eventually(True)
        assert tell(shelf, 20.4)["on"] is False
        board.eventually(False)
        message = paho.mqtt.subscribe.simple(
            "edge/v1/home/devices/hall/state/thermostat", hostname="127.0.0.1", port=broker.port
        )
        assert json.loads(message.payload)["temperature"] == 20.4  # type: ignore[union-attr]


def test_a_thermometer_that_goes_mute_leaves_no_heater_on(shelf: Shelf, broker: Broker) -> None:
    with ActuatorBoard(broker.port, "boiler", "heater") as board:
        begin(shelf, broker, THERMOSTAT_LEASE="1s")
        assert tell(shelf, 18.0)["on"] is True
        board.eventually(True)
        board.eventually(False)
        assert tell(shelf, 18.0)["on"] is True  # and when it speaks again, it is heated again
        board.eventually(True)


def test_what_is_remembered_is_shared_by_workers_that_come_and_go(shelf: Shelf, broker: Broker) -> None:
    with ActuatorBoard(broker.port, "boiler", "heater") as board:
        begin(shelf, broker)
        assert tell(shelf, 18.0)["on"] is True
        stage.declare(shelf, "thermostat", {"MQTT_PORT": str(broker.port)} | PLAN, timeout=9.0)
        shelf.engine.replace(shelf.functions)  # another worker
        assert tell(shelf, 19.9) == {"on": True, "target": 20.0, "temperature": 19.9, "open": [], "run": None}
        board.eventually(True)


def test_what_is_not_configured_is_named(shelf: Shelf, broker: Broker) -> None:
    stage.declare(shelf, "thermostat", {"THERMOSTAT_SCHEDULE": "noon=20"})
    shelf.start()
    shelf.send("thermostat", {"device": "hall", "reading": "temperature", "value": 18.0})
    said = "THERMOSTAT_SCHEDULE: 'noon=20': write days, time and temperature, as in mon-fri 06:30=21"
    eventually(lambda: said in shelf.engine.status()["thermostat"]["last_error"])
