"""DHT22 (AM2302): temperature and humidity on one wire.

Aosong AM2302 data sheet: 40 bits, humidity and temperature in tenths, the temperature's top bit its sign, the sum of four bytes
last; -40 to 80 degrees, 0 to 100 %; 2 s between readings at least. 4.7 to 10 kohm from DATA to 3V3.
"""

from dht import dht_readinto  # frozen on ESP32 and ESP8266, which keep it in different modules
from machine import Pin

from edge.fault import Fault

EVERY = 2_000
PINS = {"pin": "od"}
READINGS = {
    "temperature": {"unit": "°C", "class": "temperature", "min": -40, "max": 80},
    "humidity": {"unit": "%", "class": "humidity", "min": 0, "max": 100},
}


class Sensor:
    """`pin`."""

    coldest, hottest, driest, wettest = -40, 80, 0, 100

    def __init__(self, options):
        self.pin = Pin(options["pin"])
        self.frame = bytearray(5)

    def read(self):
        frame = self.frame
        try:
            dht_readinto(self.pin, frame)
        except OSError:
            raise Fault("silent", "no answer: look at power, DATA and its pull-up")
        if not any(frame):
            raise Fault("stuck", "nothing but zeros: DATA is held low")
        if sum(frame[:4]) & 255 != frame[4]:
            raise Fault("crc", "wrong checksum: a shorter wire, or a pull-up of 4.7 kohm")
        temperature, humidity = self.values(frame)
        if not self.coldest <= temperature <= self.hottest or not self.driest <= humidity <= self.wettest:
            raise Fault("range", "%s °C and %s %% are beyond what it can measure" % (temperature, humidity))
        return {"temperature": temperature, "humidity": humidity}

    def values(self, frame):
        tenths = (frame[2] & 127) << 8 | frame[3]
        return (-tenths if frame[2] & 128 else tenths) / 10, (frame[0] << 8 | frame[1]) / 10
