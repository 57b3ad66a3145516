"""DHT11: like a DHT22, coarser. Aosong DHT11 data sheet: whole and tenths in a byte each, the tenths' top bit the sign of the
temperature; -20 to 60 degrees, 5 to 95 %; 2 s between readings at least."""

from edge.sensors.dht22 import EVERY, PINS, Sensor  # noqa: F401

READINGS = {
    "temperature": {"unit": "°C", "class": "temperature", "min": -20, "max": 60},
    "humidity": {"unit": "%", "class": "humidity", "min": 5, "max": 95},
}
DHT22 = Sensor


class Sensor(DHT22):
    """`pin`."""

    coldest, hottest, driest, wettest = -20, 60, 5, 95

    def values(self, frame):
        temperature = frame[2] + (frame[3] & 127) / 10
        return -temperature if frame[3] & 128 else temperature, frame[0] + frame[1] / 10
