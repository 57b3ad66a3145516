"""BME280: temperature, humidity, pressure over I2C. A BMP280 works too, without humidity.

Bosch BME280 data sheet (BST-BME280-DS002): forced mode and oversampling x1 as for weather stations (3.5.1), at most 9.3 ms (9.1);
trimming values at 0x88 and 0xE1 (4.2.2); compensation in integers (4.2.3), pressure with 64 bits; -40 to 85 degrees, 300 to
1100 hPa. It has no checksum: a flipped bit shows only where it leaves these ranges.
"""

import struct
import time

from edge.fault import Fault
from edge.i2c import PINS, Device  # noqa: F401

READINGS = {
    "temperature": {"unit": "°C", "class": "temperature", "min": -40, "max": 85},
    "humidity": {"unit": "%", "class": "humidity", "min": 0, "max": 100},
    "pressure": {"unit": "hPa", "class": "pressure", "min": 300, "max": 1100},
}
CHIPS = {0x60: True, 0x58: False}  # has humidity


class Sensor:
    """`scl`, `sda`; `address` (0x76, or 0x77 with SDO at 3V3)."""

    def __init__(self, options):
        self.device = Device(options, 0x76)
        self.trim = None

    def read(self):
        try:
            return self._read()
        except OSError:
            self.trim = None  # what comes back may be another one
            raise

    def _read(self):
        device = self.device
        if not self.trim:
            self._begin()
        if self.humid:
            device.write(b"\xf2\x01")
        device.write(b"\xf4\x25")
        for _ in range(10):
            time.sleep_ms(10)
            if not device.register(0xF3, 1)[0] & 8:
                break
        else:
            raise Fault("late", "it does not finish measuring")
        data = device.register(0xF7, 8 if self.humid else 6)
        raw_p, raw_t = (data[i] << 12 | data[i + 1] << 4 | data[i + 2] >> 4 for i in (0, 3))
        if raw_t == 0x80000 or raw_p == 0x80000:
            raise Fault("late", "it has not measured")
        t_fine = fine(raw_t, self.trim)
        values = {
            "temperature": ((t_fine * 5 + 128) >> 8) / 100,
            "pressure": pressure(raw_p, t_fine, self.trim) / 25600,
        }
        if self.humid:
            values["humidity"] = humidity(data[6] << 8 | data[7], t_fine, self.trim) / 1024
        for key, value in values.items():
            about = READINGS[key]
            if not about["min"] <= value <= about["max"]:
                raise Fault("range", "%s %s is beyond what it can measure" % (value, about["unit"]))
            values[key] = round(value, 2)
        return values

    def _begin(self):
        chip = self.device.register(0xD0, 1)[0]
        if chip not in CHIPS:
            raise Fault("wrong", "chip 0x%02x is no BME280" % chip)
        self.humid = CHIPS[chip]
        trim = struct.unpack("<HhhHhhhhhhhh", self.device.register(0x88, 24))
        if not trim[0] or not trim[3]:
            raise Fault("wrong", "its trimming values are empty")
        if self.humid:
            h = self.device.register(0xE1, 7)
            h4, h5 = h[3] << 4 | h[4] & 15, h[5] << 4 | h[4] >> 4
            trim += (
                self.device.register(0xA1, 1)[0],
                struct.unpack("<h", h)[0],
                h[2],
                h4 - 4096 if h4 & 2048 else h4,
                h5 - 4096 if h5 & 2048 else h5,
                h[6] - 256 if h[6] & 128 else h[6],
            )
        self.trim = trim


def fine(raw, trim):
    """`t_fine` of the data sheet: 5120 to the degree."""
    t1, t2, t3 = trim[:3]
    a = ((raw >> 3) - (t1 << 1)) * t2 >> 11
    b = (((raw >> 4) - t1) * ((raw >> 4) - t1) >> 12) * t3 >> 14
    return a + b


def pressure(raw, t_fine, trim):
    """In 1/256 Pa."""
    p1, p2, p3, p4, p5, p6, p7, p8, p9 = trim[3:12]
    a = t_fine - 128000
    b = a * a * p6 + (a * p5 << 17) + (p4 << 35)
    a = (a * a * p3 >> 8) + (a * p2 << 12)
    a = ((1 << 47) + a) * p1 >> 33
    if not a:
        return 0
    p = (((1048576 - raw) << 31) - b) * 3125 // a
    return (p + (p9 * (p >> 13) * (p >> 13) >> 25) + (p8 * p >> 19) >> 8) + (p7 << 4)


def humidity(raw, t_fine, trim):
    """In 1/1024 %."""
    h1, h2, h3, h4, h5, h6 = trim[12:]
    v = t_fine - 76800
    a = (raw << 14) - (h4 << 20) - h5 * v + 16384 >> 15
    b = (((v * h6 >> 10) * ((v * h3 >> 11) + 32768) >> 10) + 2097152) * h2 + 8192 >> 14
    v = a * b
    v -= ((v >> 15) * (v >> 15) >> 7) * h1 >> 4
    return min(max(v, 0), 419430400) >> 12
