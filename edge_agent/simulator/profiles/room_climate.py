"""A room with a DHT22 and a CO2 sensor: a day's swing in temperature, people who come and go, a window now and then."""

from __future__ import annotations

import math
from random import Random

from edge_agent.domain.reading import Value

DEVICE = "room"
ABOUT = {
    "model": "simulated DHT22 on ESP32",
    "readings": {
        "temperature": {"unit": "°C", "class": "temperature", "min": -40, "max": 80},
        "humidity": {"unit": "%", "class": "humidity", "min": 0, "max": 100},
        "co2": {"unit": "ppm", "class": "carbon_dioxide", "min": 400, "max": 5000},
    },
}
DAY = 86_400_000


class Profile:
    def __init__(self, random: Random) -> None:
        self._random = random
        self._base = random.uniform(19.0, 22.0)
        self._humidity = random.uniform(40.0, 55.0)
        self._co2 = random.uniform(450.0, 700.0)
        self._occupied = random.random() < 0.5
        self._last = 0

    def measure(self, now: int) -> dict[str, Value]:
        random = self._random
        seconds = min(60.0, (now - self._last) / 1000) if self._last else 0.0
        self._last = now
        if random.random() < seconds / 120:
            self._occupied = not self._occupied
        goal = 1600.0 if self._occupied else 420.0
        self._co2 += (goal - self._co2) * min(1.0, seconds / 180)
        self._humidity += (50.0 - self._humidity) * min(1.0, seconds / 900) + random.gauss(0, 0.1)
        swing = 2.5 * math.sin(2 * math.pi * ((now % DAY) / DAY - 0.375))
        return {
            "temperature": round(self._base + swing + random.gauss(0, 0.1), 1),
            "humidity": round(min(100.0, max(0.0, self._humidity)), 1),
            "co2": round(self._co2 + random.gauss(0, 5)),
        }
