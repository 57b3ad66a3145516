"""Soil moisture with a capacitive sensor (v1.2 and alike): 0 % in dry air, 100 % in water, its voltage falling as it gets wet.

No two are alike, so there is no default: measure both with kind `analog` and write them down.
"""

from edge.sensors import analog
from edge.sensors.analog import PINS  # noqa: F401

READINGS = {"moisture": {"unit": "%", "class": "moisture", "min": 0, "max": 100}}


class Sensor(analog.Sensor):
    """`pin`, `dry` and `wet` in mV."""

    def __init__(self, options):
        dry, wet = options.get("dry"), options.get("wet")
        if dry is None or wet is None or dry == wet:
            raise ValueError('needs dry and wet, in mV: what kind "analog" shows in air and in water')
        super().__init__(dict(options, points=[[dry, 0], [wet, 100]]))
        self.readings = READINGS

    def read(self):
        return {"moisture": round(analog.between(self.points, self.millivolts()), 1)}
