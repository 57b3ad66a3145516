"""A bench for one sensor or actuator: its driver as it is shipped, in the real MicroPython, with a part on its pins.

Enters: lines of MicroPython that make the part and ask for readings with `ask(sensor)`. Leaves: what was told, one entry a
call: values, or a fault's name. The parts (`parts/`) are models written after the data sheets, none is a recording; `clock/` is
a time that passes at once, so a part that needs 750 ms is asked after 750 ms.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.firmware.unixboard import run

HERE = Path(__file__).parent
BEGIN = f"""
import json
sys.path[:0] = {[str(HERE / "clock"), str(HERE / "parts")]!r}
import time, machine, chips, dht, _onewire
from machine import Pin
from edge.fault import Fault
bus = machine.SoftI2C.parts
WIRES = {{"scl": 22, "sda": 21}}

def make(kind, options, folder="sensors"):
    module = __import__("edge." + folder + "." + kind, None, None, ("Sensor",))
    return (module.Sensor if folder == "sensors" else module.Actuator)(options)

def tell(value):
    print(json.dumps(value))

def ask(sensor):
    try:
        values = sensor.read()
    except Fault as fault:
        return tell(fault.name)
    tell({{key: value.name if isinstance(value, Fault) else value for key, value in values.items()}})
"""


def told(code: str) -> list[Any]:
    return [json.loads(line) for line in run(BEGIN + code).splitlines()]
