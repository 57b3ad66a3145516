"""Actuators: no longer away from rest than they may be, whoever is gone; and what is worth sending."""

from __future__ import annotations

import time
from pathlib import Path

from tests.broker import Broker
from tests.firmware.ear import Ear
from tests.firmware.unixboard import UnixBoard, run
from tests.waiting import eventually

PUMP = {"pump": {"kind": "relay", "pin": 4, "longest": 5, "alone": 1}}

MOVES = """
import json
from edge.moves import Move
class Thing:
    rest = False
    def __init__(self):
        self.sets = []
    def set(self, value):
        if not isinstance(value, bool):
            raise ValueError("true or false")
        self.sets.append(value)
thing = Thing()
move = Move(thing, {"longest": 5, "alone": 2})
def tell(now, epoch=None, **command):
    move.told(json.dumps(command), now, epoch)
    return json.loads(move.state())
"""


def test_a_command_moves_once_for_its_time_and_is_refused_when_it_is_old_long_or_of_another_kind() -> None:
    said = run(
        MOVES
        + """
assert thing.sets == [False], "at rest from the start"
assert tell(0, id="a", value=True, **{"for": 1000}) == {"id": "a", "value": True}
assert tell(900, id="a", value=True, **{"for": 1000}) == {"id": "a", "value": True}
assert thing.sets == [False, True], "a repeat moves nothing"
assert not move.tick(999, True)
assert move.tick(1000, True), "and does not begin the time anew"
assert json.loads(move.state()) == {"id": "a", "value": False, "ended": "time"}
for wrong in (5001, 0, -1, True, 2.5, "1"):
    state = tell(2000, id="w%s" % wrong, value=True, **{"for": wrong})
    assert state["value"] is False and state["error"] == "for is 1 to 5000 ms here", state
assert tell(2000, id="b", value=3)["error"] == "true or false"
assert tell(2000, 1_000_061_000, id="c", value=True, t=1_000_000_000)["error"] == "the command is 61 s old"
assert tell(2000, 1_000_059_000, id="d", value=True, t=1_000_000_000) == {"id": "d", "value": True}
for poison in ("", "[]", "7", '{"id":1,"value":true}', '{"value":true}', "\\xff"):
    move.told(poison, 2000, None)
assert move.id == "d"
assert not move.tick(6999, True) and move.tick(7000, True), "without `for`: its own longest"
print("done", thing.sets)
"""
    )
    assert said.split("\n")[-2] == "done [False, True, False, True, False]"


def test_without_contact_it_rests_and_a_short_gap_does_not_count() -> None:
    said = run(
        MOVES
        + """
tell(0, id="a", value=True)
assert not move.tick(100, False) and not move.tick(1900, False)
assert not move.tick(2000, True)
assert not move.tick(2100, False) and not move.tick(4000, False)
assert move.tick(4100, False)
print(move.state())
"""
    )
    assert '"ended": "contact"' in said


def test_a_board_answers_commands_and_rests_by_itself_when_its_time_or_its_broker_is_gone(
    tmp_path: Path, broker: Broker
) -> None:
    with Ear(broker.port) as ear, UnixBoard(tmp_path, broker.port, sensors={}, actuators=PUMP) as board:
        eventually(lambda: ear.last("state/pump") == {"id": "", "value": False})
        began = time.monotonic()
        assert ear.tell("pump", True, **{"for": 500})["value"] is True
        eventually(lambda: ear.last("state/pump").get("ended") == "time")
        assert 0.4 < time.monotonic() - began < 2
        assert "for is 1 to 5000" in ear.tell("pump", True, **{"for": 6000})["error"]
        ear.tell("pump", True, **{"for": 5000})
        broker.kill()
        time.sleep(1.5)
        broker.start()
        eventually(lambda: ear.last("state/pump").get("ended") == "contact", timeout=30)
        assert ear.last("state/pump")["value"] is False
        assert "Traceback" not in board.output


def test_the_buzzer_sounds_a_second_of_every_thirty_while_the_appliance_is_silent(
    tmp_path: Path, broker: Broker
) -> None:
    siren = {"siren": {"kind": "buzzer", "pin": 5}}
    with (
        Ear(broker.port) as ear,
        UnixBoard(tmp_path, broker.port, sensors={}, actuators=siren, buzz="siren") as board,
    ):
        board.after = "board.last_beat -= 118_000"
        board.start()
        eventually(lambda: [state["value"] for state in ear.of("state/siren")][-3:] == [False, True, False])
        ear.attend()
        board.start()
        eventually(lambda: ear.of("status")[-2:] == ["offline", "online"])
        time.sleep(3)
        assert not any(state["value"] for state in ear.of("state/siren")[-2:]), "it has heard a heartbeat"


DEADBAND = """
from edge import sense
class Sensor:
    def __init__(self, options):
        pass
    def read(self):
        value = values.pop(0)
        if value is None:
            raise OSError("no answer")
        return {"n": value}
class Module:
    READINGS = {"n": {"unit": ""}}
    Sensor = Sensor
sense.__import__ = lambda *_: Module
values = [20, 20.4, 20.5, 20.5, True, True, False, None, 20, 20, 20]
level = sense.Sense("level", {"kind": "x", "deadband": 0.5, "at_most": 3}, 1)
told = []
for second in range(11):
    told.append(level.read(second * 1000).get("level"))
print(told, level.faults, level.news)
"""


def test_only_what_moved_by_the_deadband_is_sent_and_something_at_least_every_so_often() -> None:
    said = run(DEADBAND).strip()
    assert said == "[20, None, 20.5, None, True, None, False, None, 20, None, None] {'bus': 1} level: answers again"
