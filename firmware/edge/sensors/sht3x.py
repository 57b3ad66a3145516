"""SHT30, SHT31, SHT35: temperature and humidity over I2C.

Sensirion SHT3x-DIS data sheet: single shot, high repeatability, without clock stretching 0x2400 (table 9), at most 15.5 ms (table 4);
each word with a CRC of polynomial 0x31, start 0xFF (4.12); -45 + 175 S / 65535 degrees, 100 S / 65535 % (4.13).
"""

import time

from edge.fault import Fault
from edge.i2c import PINS, Device  # noqa: F401

READINGS = {
    "temperature": {"unit": "°C", "class": "temperature", "min": -40, "max": 125},
    "humidity": {"unit": "%", "class": "humidity", "min": 0, "max": 100},
}


class Sensor:
    """`scl`, `sda`; `address` (0x44, or 0x45 with ADDR at 3V3)."""

    def __init__(self, options):
        self.device = Device(options, 0x44)

    def read(self):
        self.device.write(b"\x24\x00")
        time.sleep_ms(17)
        data = self.device.read(6)
        if crc(data[:2]) != data[2] or crc(data[3:5]) != data[5]:
            raise Fault("crc", "wrong checksum: a shorter wire, or stronger pull-ups")
        temperature = round(175 * (data[0] << 8 | data[1]) / 65535 - 45, 2)
        if not -40 <= temperature <= 125:
            raise Fault("range", "%s °C is beyond what it can measure" % temperature)
        return {"temperature": temperature, "humidity": round(100 * (data[3] << 8 | data[4]) / 65535, 2)}


def crc(data):
    value = 0xFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x31 if value & 0x80 else value << 1) & 0xFF
    return value
