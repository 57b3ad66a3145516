"""A rain water tank with an ultrasonic level sensor: drawn from until it is low, filled again by a pump that comes late."""

from __future__ import annotations

from random import Random

from edge_agent.domain.reading import Value

DEVICE = "tank"
ABOUT = {
    "model": "simulated HC-SR04 on ESP8266",
    "readings": {
        "level": {"unit": "%", "class": "level", "min": 0, "max": 100},
        "pump": {"class": "switch"},
    },
}
DRAWN = 0.25
"""Per cent a second: quick enough to watch; a real tank takes days."""
FILLED = 2.0
PUMP_ON, PUMP_OFF = 12.0, 85.0


class Profile:
    def __init__(self, random: Random) -> None:
        self._random = random
        self._level = random.uniform(24.0, 34.0)
        self._pump = False
        self._last = 0

    def measure(self, now: int) -> dict[str, Value]:
        seconds = min(60.0, (now - self._last) / 1000) if self._last else 0.0
        self._last = now
        self._level += seconds * (FILLED if self._pump else -DRAWN * self._random.uniform(0.5, 1.5))
        self._level = min(100.0, max(0.0, self._level))
        self._pump = self._level < PUMP_ON or (self._pump and self._level < PUMP_OFF)
        return {"level": round(self._level + self._random.gauss(0, 0.1), 1), "pump": self._pump}
