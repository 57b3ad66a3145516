"""DS18B20: thermometers, one or several on one wire, with or without a wire for power.

Maxim DS18B20 data sheet: sixteenths of a degree, two's complement (figure 4, table 1); -55 to 125 degrees; 750 ms for 12 bits
(table 2); 85.0 after power-on, before anything is measured; nine bytes with a CRC (figure 9). Without a supply of their own they
are fed through the wire while they convert ("Powering the DS18B20"); the switch has to follow the command within 10 us, which
MicroPython does not promise: their capacitor bridges it, not tried on a board. 4.7 kohm from DATA to 3V3.
"""

import time
from binascii import hexlify, unhexlify

from edge.fault import Fault
from edge.wire import Wire

PINS = {"pin": "od"}
READINGS = {"temperature": {"unit": "°C", "class": "temperature", "min": -55, "max": 125}}
CONVERT = 750
RESET = 85.0


class Sensor:
    """`pin`; `names`, where there are several: {"28ee94f72716018d": "flow", ...}. Without, the log tells their addresses."""

    def __init__(self, options):
        self.wire = Wire(options["pin"])
        names = options.get("names")
        self.names = {name: unhexlify(rom) for rom, name in names.items()} if names else None
        self.readings = dict.fromkeys(names.values(), READINGS["temperature"]) if names else READINGS
        self.last = {}

    def read(self):
        parts = self.names or {"temperature": self._only()}
        wire = self.wire
        wire.reset()
        wire.write(b"\xcc\xb4")  # READ POWER SUPPLY: who lives on the wire pulls it low
        fed = not wire.bit()
        wire.reset()
        wire.write(b"\xcc\x44")
        if fed:
            wire.strong(True)
        time.sleep_ms(CONVERT)
        if fed:
            wire.strong(False)
        return {name: self._value(name, rom) for name, rom in parts.items()}

    def _only(self):
        found = self.wire.search()
        if len(found) > 1:
            raise Fault(
                "wrong", "%d on the wire, give names: %s" % (len(found), " ".join(hexlify(r).decode() for r in found))
            )
        return found[0]

    def _value(self, name, rom):
        try:
            self.wire.reset()
            self.wire.write(b"\x55" + rom + b"\xbe")
            data = self.wire.read(9)
        except Fault as fault:
            return fault
        value = data[0] | data[1] << 8
        value = (value - 65536 if value & 0x8000 else value) / 16
        if value == RESET and abs(self.last.get(name, 0) - RESET) > 5:
            return Fault("late", "%s has not measured yet: its power fails while it converts" % name)
        if not -55 <= value <= 125:
            return Fault("range", "%s °C is beyond what it can measure" % value)
        self.last[name] = value
        return value
