"""functions/water-level with a tank that fills and drains, a pump on a board, Mosquitto; and, once, a whole agent."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.publish
import paho.mqtt.subscribe
import yaml

from tests.agent import Agent
from tests.broker import Broker
from tests.functions.real import stage
from tests.functions.real.board import ActuatorBoard
from tests.functions.real.tank import Tank
from tests.functions.shelf import Shelf
from tests.waiting import eventually

FAST = {
    "WATER_LONGEST": "6s",
    "WATER_RISE_WITHIN": "3s",
    "WATER_LEASE": "2s",
    "WATER_DELAY": "1s",
    "WATER_REST": "3s",
}
"""A plan for a tank that fills in two seconds."""
MEMORY = "edge/v1/home/devices/tank-1/state/water-level"


def said(broker: Broker, topic: str) -> dict[str, Any]:
    message = paho.mqtt.subscribe.simple(topic, hostname="127.0.0.1", port=broker.port)
    return json.loads(message.payload)  # type: ignore[union-attr, no-any-return]


@contextmanager
def scene(shelf: Shelf, broker: Broker, **changes: Any) -> Iterator[tuple[Tank, ActuatorBoard]]:
    """Function, board and tank together; each level is an event, as the rule makes it."""
    stage.declare(shelf, "water-level", {"MQTT_PORT": str(broker.port)} | FAST)
    shelf.start()

    def say(level: float) -> None:
        shelf.send("water-level", {"device": "tank-1", "reading": "level", "value": level})

    with ActuatorBoard(broker.port, "tank-1", "pump") as board, Tank(board, say, **changes) as tank:
        yield tank, board


def test_a_tank_that_runs_low_is_filled_and_the_pump_stops(shelf: Shelf, broker: Broker) -> None:
    with scene(shelf, broker) as (tank, board):
        eventually(lambda: tank.level > 75)
        eventually(lambda: board.value is False)
        eventually(lambda: said(broker, MEMORY)["phase"] == "resting")
        assert tank.longest <= 6
        assert len(board.moves) == 2


def test_a_pump_that_moves_no_water_is_stopped_and_not_started_again(shelf: Shelf, broker: Broker) -> None:
    with scene(shelf, broker) as (tank, board):
        tank.dry = True
        eventually(lambda: said(broker, MEMORY)["phase"] == "fault", timeout=40)
        assert "no water, a dead pump, or a stuck sensor" in said(broker, MEMORY)["reason"]
        board.eventually(False)
        after = len(shelf.settlements)
        eventually(lambda: len(shelf.settlements) > after + 8)
        assert len(board.moves) == 2
        assert tank.longest <= 6


def test_a_sensor_that_is_stuck_floods_nothing(shelf: Shelf, broker: Broker) -> None:
    with scene(shelf, broker) as (tank, board):
        tank.stuck = 15.0
        eventually(lambda: said(broker, MEMORY)["phase"] == "fault", timeout=40)
        board.eventually(False)
        assert tank.longest <= 6


def test_a_board_that_goes_deaf_and_a_sensor_that_goes_mute_leave_no_pump_running(shelf: Shelf, broker: Broker) -> None:
    with scene(shelf, broker, fills=10.0) as (tank, board):
        board.eventually(True)
        board.deaf = tank.mute = True
        board.eventually(False)  # by its own time
        assert tank.longest <= 6


def test_a_broker_that_dies_and_forgets_leaves_no_pump_running_longer(shelf: Shelf, broker: Broker) -> None:
    with scene(shelf, broker, fills=10.0) as (tank, board):
        board.eventually(True)
        broker.kill()
        board.eventually(False)
        broker.start()
        eventually(lambda: "nobody knows" in said(broker, MEMORY)["reason"])
        eventually(lambda: len(board.moves) >= 3, timeout=40)  # it rests, and goes on
        assert tank.longest <= 6


def test_a_refusal_stops_it_and_a_person_lets_it_go_on(shelf: Shelf, broker: Broker) -> None:
    with scene(shelf, broker) as (_, board):
        board.refuses = "the motor is too hot"
        eventually(lambda: said(broker, MEMORY)["reason"] == "the pump refuses: the motor is too hot", timeout=40)
        board.refuses = ""
        shelf.send("water-level", {"device": "tank-1", "reset": True})
        board.eventually(True)


def manifests(port: int) -> str:
    """As the folder has them, faster: what a user changes in `env`."""
    folder = stage.FUNCTIONS / "water-level"
    function, *rules = [
        document
        for name in ("function.yaml", "rules.yaml")
        for document in yaml.safe_load_all((folder / name).read_text())
    ]
    function["spec"]["env"] |= {"MQTT_PORT": str(port), **FAST}
    function["spec"]["source"] = str(folder)
    rules[0]["spec"]["cooldown"] = "100ms"
    return yaml.safe_dump_all([function, *rules])


def publisher(port: int) -> Callable[[float], None]:
    numbers = itertools.count(1)

    def say(level: float) -> None:
        reading = {"boot": "7f3a9c01d2e4b586", "seq": next(numbers), "t": None, "readings": {"level": level}}
        topic = "edge/v1/home/devices/tank-1/readings"
        paho.mqtt.publish.single(topic, json.dumps(reading), 1, hostname="127.0.0.1", port=port)

    return say


def test_with_the_agent_readings_become_pumping_and_a_fault_becomes_an_alert(broker: Broker, tmp_path: Path) -> None:
    with (
        ActuatorBoard(broker.port, "tank-1", "pump") as board,
        Agent(tmp_path / "agent", broker.port, manifests=manifests(broker.port)) as agent,
        Tank(board, publisher(broker.port)) as tank,
    ):
        eventually(lambda: tank.level > 75, timeout=40)
        board.eventually(False)
        tank.dry = True

        def alarm() -> Any:
            return [alert for alert in agent.get("/alerts")["items"] if alert["rule"] == "water-fault"]

        (alert,) = eventually(alarm, timeout=60)
        assert alert["device"] == "water-tank-1"
        assert "no water, a dead pump, or a stuck sensor" in alert["message"]
        board.eventually(False)
        assert tank.longest <= 6
