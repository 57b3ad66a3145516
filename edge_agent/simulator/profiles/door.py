"""A reed contact on a door, with the battery of a board that sleeps most of the time."""

from __future__ import annotations

from random import Random

from edge_agent.domain.reading import Value

DEVICE = "door"
ABOUT = {
    "model": "simulated reed contact on ESP32-C3",
    "readings": {
        "open": {"class": "door"},
        "battery": {"unit": "V", "class": "voltage", "min": 2.5, "max": 4.2},
    },
}


class Profile:
    def __init__(self, random: Random) -> None:
        self._random = random
        self._open = False
        self._battery = random.uniform(3.6, 4.15)

    def measure(self, now: int) -> dict[str, Value]:
        if self._random.random() < (0.25 if self._open else 0.03):
            self._open = not self._open
        self._battery = max(2.5, self._battery - 0.00001)
        return {"open": self._open, "battery": round(self._battery + self._random.gauss(0, 0.005), 2)}
