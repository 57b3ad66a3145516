"""BH1750FVI: light in lux over I2C.

ROHM BH1750FVI data sheet: power on 0x01, one-time H-resolution mode 0x20, at most 180 ms; counts / 1.2 is lux, up to 54612. It
has no checksum.
"""

import time

from edge.fault import Fault
from edge.i2c import PINS, Device  # noqa: F401

READINGS = {"light": {"unit": "lx", "class": "illuminance", "min": 0, "max": 54612}}


class Sensor:
    """`scl`, `sda`; `address` (0x23, or 0x5c with ADDR at 3V3)."""

    def __init__(self, options):
        self.device = Device(options, 0x23)

    def read(self):
        self.device.write(b"\x01")
        self.device.write(b"\x20")
        time.sleep_ms(180)
        data = self.device.read(2)
        count = data[0] << 8 | data[1]
        if count == 0xFFFF:
            raise Fault("range", "brighter than it can measure, or SDA has no answer")
        return {"light": round(count / 1.2, 1)}
