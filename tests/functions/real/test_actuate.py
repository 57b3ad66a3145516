"""functions/actuate, run by AWS's client, against a real Mosquitto and a board that obeys, or does not."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from edge_agent.domain.invocation import Failed
from tests.broker import Broker
from tests.functions.real import stage
from tests.functions.real.board import ActuatorBoard
from tests.functions.real.stage import FIRING, keep_secret
from tests.functions.shelf import Shelf
from tests.waiting import eventually

RESOLVED = FIRING | {"state": "resolved"}


def declare(shelf: Shelf, port: int, **env: str) -> None:
    settings = {"MQTT_PORT": str(port), "ACTUATE_WAIT": "1s"} | env
    stage.declare(shelf, "actuate", settings, secrets=("mqtt",) if "MQTT_USER" in env else ())


@pytest.fixture
def board(broker: Broker) -> Iterator[ActuatorBoard]:
    with ActuatorBoard(broker.port, "tank-1", "pump") as board:
        yield board


def test_firing_starts_the_pump_and_resolved_stops_it(shelf: Shelf, broker: Broker, board: ActuatorBoard) -> None:
    declare(shelf, broker.port)
    shelf.start()
    invocation = shelf.send("actuate", FIRING)
    outcome = shelf.outcome(invocation)
    answer = {"device": "tank-1", "actuator": "pump", "value": True, "id": invocation.id}
    assert msgspec.json.decode(outcome.response) == answer  # type: ignore[union-attr]
    assert board.value is True
    (command,) = board.commands
    assert (command["id"], command["value"], command["for"]) == (invocation.id, True, 600_000)
    assert shelf.answer("actuate", RESOLVED)["value"] is False
    assert board.value is False
    assert "for" not in board.commands[1]


def test_events_of_one_device_are_obeyed_in_their_order(shelf: Shelf, broker: Broker, board: ActuatorBoard) -> None:
    declare(shelf, broker.port)
    shelf.start()
    sent = [shelf.send("actuate", data) for data in [FIRING, RESOLVED] * 5]
    assert {shelf.end(one).state for one in sent} == {"answered"}
    assert [value for _, value in board.moves] == [True, False] * 5


def test_a_command_over_http_moves_what_it_names_for_as_long_as_it_says(
    shelf: Shelf, broker: Broker, board: ActuatorBoard
) -> None:
    declare(shelf, broker.port)
    shelf.start()
    shelf.answer("actuate", {"device": "tank-1", "actuator": "pump", "value": True, "for": "300ms"})
    eventually(lambda: board.value is False)
    (on, _), (off, _) = board.moves
    assert off - on >= 0.3


def test_a_silent_board_fails_the_attempt_with_a_sentence(shelf: Shelf, broker: Broker, board: ActuatorBoard) -> None:
    board.silent = True
    declare(shelf, broker.port)
    shelf.start()
    reason = shelf.failure("actuate", FIRING).reason
    assert "tank-1 has not confirmed pump within 1 s: is it on, and on the network?" in reason


def test_where_no_board_listens_the_sentence_says_so(shelf: Shelf, broker: Broker) -> None:
    declare(shelf, broker.port)
    shelf.start()
    assert "nobody listens for its commands" in shelf.failure("actuate", FIRING).reason


def test_a_late_board_is_believed_at_the_next_attempt_and_not_told_twice(
    shelf: Shelf, broker: Broker, board: ActuatorBoard
) -> None:
    board.late = 1.3  # after the first attempt has given up, before the second looks
    declare(shelf, broker.port)
    shelf.start()
    end = shelf.end(shelf.send("actuate", FIRING))
    assert (end.state, end.attempt.number) == ("answered", 2)
    assert len(board.moves) == 1


def test_a_repeated_attempt_moves_nothing_twice(shelf: Shelf, broker: Broker, board: ActuatorBoard) -> None:
    declare(shelf, broker.port)
    shelf.start()
    invocation = shelf.send("actuate", FIRING)
    shelf.end(invocation)
    shelf.functions["actuate"] = msgspec.structs.replace(shelf.functions["actuate"], timeout=14.0)
    shelf.engine.replace(shelf.functions)
    before = len(shelf.settled(invocation))
    shelf.engine.submit([invocation])
    eventually(lambda: len(shelf.settled(invocation)) > before)
    assert len(board.commands) == 1


def test_a_board_that_refuses_is_quoted_and_not_asked_again(shelf: Shelf, broker: Broker, board: ActuatorBoard) -> None:
    board.refuses = "the float switch says the tank is full"
    declare(shelf, broker.port)
    shelf.start()
    end = shelf.end(shelf.send("actuate", FIRING))
    assert isinstance(end.outcome, Failed)
    assert end.attempt.number == 1
    assert "tank-1 refuses pump: the float switch says the tank is full" in end.outcome.reason
    assert board.moves == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            {"device": "hall", "actuator": "door", "value": True},
            "hall/door may not be moved: add it to ACTUATE_TARGETS",
        ),
        ({"device": "tank-1", "actuator": "#", "value": True}, "may not be moved"),
        ({"device": "tank-1", "actuator": "pump", "value": True, "for": "2h"}, "for is 2h: at most ACTUATE_FOR"),
        ({"message": "?"}, "which device?"),
    ],
)
def test_what_is_not_allowed_is_not_sent(
    shelf: Shelf, broker: Broker, board: ActuatorBoard, data: object, said: str
) -> None:
    declare(shelf, broker.port)
    shelf.start()
    failed = shelf.failure("actuate", data)
    assert said in failed.reason
    assert not failed.temporary
    assert board.commands == []


def test_a_broker_that_is_away_costs_an_attempt_and_no_movement_is_lost(
    shelf: Shelf, broker: Broker, board: ActuatorBoard
) -> None:
    declare(shelf, broker.port)
    shelf.start()
    shelf.idle("actuate")
    broker.kill()
    invocation = shelf.send("actuate", FIRING)
    eventually(lambda: shelf.settled(invocation))
    broker.start()
    outcome = shelf.settled(invocation)[0].outcome
    assert isinstance(outcome, Failed)
    assert "cannot be reached" in outcome.reason
    shelf.end(invocation)


def test_it_signs_in_with_the_password_of_its_secret(shelf: Shelf) -> None:
    with Broker(users={"functions": "pass word", "board": "b"}) as broker:
        declare(shelf, broker.port, MQTT_USER="functions")
        keep_secret(shelf, "mqtt/password", "wrong\n")
        shelf.start()
        assert "refuses: Not authorized" in shelf.failure("actuate", FIRING).reason
        keep_secret(shelf, "mqtt/password", "pass word\n")
        assert "nobody listens" in shelf.failure("actuate", FIRING).reason


def test_what_is_not_configured_is_named(shelf: Shelf, broker: Broker) -> None:
    declare(shelf, broker.port, ACTUATE_TARGETS="", ACTUATE_FOR="ever")
    shelf.start()
    shelf.send("actuate", FIRING)
    for said in (
        "ACTUATE_TARGETS does not say what may be moved: write",
        "ACTUATE_FOR is ever: write a number and a unit",
    ):
        eventually(lambda said=said: said in shelf.engine.status()["actuate"]["last_error"])  # type: ignore[misc]
