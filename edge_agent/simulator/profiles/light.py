"""A photoresistor at a window: dark at night, clouds by day, and somebody who switches the lamp on."""

from __future__ import annotations

import math
from random import Random

from edge_agent.domain.reading import Value

DEVICE = "light"
ABOUT = {
    "model": "simulated BH1750 on ESP8266",
    "readings": {"illuminance": {"unit": "lx", "class": "illuminance", "min": 0, "max": 65535}},
}
DAY = 86_400_000
NOON = 20_000.0
LAMP = 250.0


class Profile:
    def __init__(self, random: Random) -> None:
        self._random = random
        self._cloud = 0.5
        self._lamp = False

    def measure(self, now: int) -> dict[str, Value]:
        sun = max(0.0, math.sin(2 * math.pi * ((now % DAY) / DAY - 0.25)))
        self._cloud = min(1.0, max(0.05, self._cloud + self._random.gauss(0, 0.03)))
        if self._random.random() < 0.01:
            self._lamp = not self._lamp
        light = NOON * sun * self._cloud + (LAMP if self._lamp else 0.0)
        return {"illuminance": round(light * self._random.uniform(0.98, 1.02), 1)}
