"""JSN-SR04T: like an HC-SR04 with a waterproof head on a cable, for tanks. Its data sheet: blind below 20 cm, up to 600 cm, 20 us
on trigger. In its first mode (no resistor at R27) it is read alike."""

from edge.sensors import hcsr04
from edge.sensors.hcsr04 import PINS  # noqa: F401

READINGS = {"distance": {"unit": "cm", "class": "distance", "min": 20, "max": 600}}


class Sensor(hcsr04.Sensor):
    """As HC-SR04."""

    nearest, farthest = 20, 600
    pulse = 20
    longest = 40_000
