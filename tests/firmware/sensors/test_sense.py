"""Sensors as the board's program reads them: a fault of whatever kind is counted by name and costs one sensor's values only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.broker import Broker
from tests.firmware.ear import Ear
from tests.firmware.sensors.bench import told
from tests.firmware.unixboard import UnixBoard
from tests.waiting import eventually


def sensed(code: str) -> list[Any]:
    return told("from edge.sense import Sense\n" + code)


def test_a_drivers_own_mistake_is_a_counted_fault_and_the_other_sensors_go_on(tmp_path: Path, broker: Broker) -> None:
    sensors = {"bad": {"kind": "broken"}, "count": {"kind": "counter"}}
    with Ear(broker.port) as ear, UnixBoard(tmp_path, broker.port, every=0.1, sensors=sensors) as board:
        eventually(lambda: "bad: driver: divide by zero" in ear.last("state/log").get("value", ""))
        ear.attend()
        eventually(lambda: len(ear.readings()) > 5)
        assert board.process is not None
        assert board.process.poll() is None, "no restart"
        assert "bad" not in json.dumps(ear.readings())
        assert "count" in json.dumps(ear.readings())


def test_faults_are_counted_by_name_and_told_when_they_begin_and_end() -> None:
    said = sensed("""
sense = Sense("light", dict(WIRES, kind="bh1750"), 1)
for at in range(3):
    tell(sense.read(at * 1000))
tell([sense.faults, sense.news])
class Answers:
    def read(self):
        return {"light": 7}
sense.sensor = Answers()
tell(sense.read(3000))
tell([sense.faults, sense.news])
""")
    assert said[:3] == [{}, {}, {}]
    assert said[3][0] == {"silent": 3}
    assert said[3][1].startswith("light: silent: ")
    assert said[4] == {"light": 7}
    assert said[5] == [{"silent": 3}, "light: answers again"]


def test_a_tanks_reading_is_announced_and_read_under_the_tanks_name() -> None:
    said = sensed("""
Pin(18).outside(0)
Pin(19).outside(0)
machine.echoes[:] = [70 * 58] * 5
sense = Sense("tank", {"kind": "hcsr04", "trigger": 18, "echo": 19, "empty": 120, "full": 20, "litres": 500}, 60)
tell(sense.about)
tell(sense.read(0))
tell(sense.faults)
""")
    assert said[0] == {"tank": {"unit": "L", "class": "volume", "min": 0, "max": 500}}
    assert 240 < said[1]["tank"] < 260
    assert said[2] == {}


def test_one_thermometer_of_two_that_is_gone_is_counted_and_the_other_one_read() -> None:
    said = sensed("""
_onewire.parts[:] = [_onewire.Ds18b20(b"\\x01\\x02\\x03\\x04\\x05" + bytes([i]), 320) for i in range(2)]
names = {part.rom.hex(): "t%d" % i for i, part in enumerate(_onewire.parts)}
sense = Sense("flow", {"kind": "ds18b20", "pin": 4, "names": names}, 10)
tell(sense.read(0))
del _onewire.parts[1]
tell(sense.read(10000))
tell(sense.faults)
""")
    assert said == [{"flow-t0": 20, "flow-t1": 20}, {"flow-t0": 20}, {"silent": 1}]


def test_a_door_is_looked_at_often_and_sent_when_it_moves_and_every_ten_minutes() -> None:
    said = sensed("""
Pin(5).outside(0)
sense = Sense("door", {"kind": "reed", "pin": 5}, 60)
tell(sense.every)
sent = []
for at in range(0, 1300000, 50):
    if at == 100000:
        Pin(5).outside(1)
    time.sleep_ms(50)
    values = sense.read(at)
    if values:
        sent.append([at // 1000, values["door"]])
tell(sent)
""")
    assert said == [50, [[0, False], [100, True], [700, True]]]
