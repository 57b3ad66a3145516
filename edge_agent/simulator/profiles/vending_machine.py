"""A vending machine: it sells, gets warm when its door stands open, jams now and then, and is filled when it is empty."""

from __future__ import annotations

from random import Random

from edge_agent.domain.reading import Value

DEVICE = "vending"
ABOUT = {
    "model": "simulated vending machine",
    "readings": {
        "stock": {"unit": "pcs", "class": "count", "min": 0, "max": 60},
        "sales": {"unit": "pcs", "class": "total"},
        "temperature": {"unit": "°C", "class": "temperature", "min": -10, "max": 60},
        "state": {"class": "state"},
    },
}
FULL = 60


class Profile:
    def __init__(self, random: Random) -> None:
        self._random = random
        self._stock = random.randint(5, FULL)
        self._sales = 0
        self._temperature = random.uniform(3.0, 6.0)
        self._state = "ready"

    def measure(self, now: int) -> dict[str, Value]:
        random = self._random
        if self._state == "ready" and self._stock and random.random() < 0.1:
            self._stock -= 1
            self._sales += 1
            self._state = "jammed" if random.random() < 0.02 else "ready"
        elif self._state == "jammed" and random.random() < 0.05:
            self._state = "ready"
        if self._stock == 0 and random.random() < 0.02:
            self._stock = FULL
        self._temperature += (4.5 - self._temperature) * 0.1 + random.gauss(0, 0.15)
        return {
            "stock": self._stock,
            "sales": self._sales,
            "temperature": round(self._temperature, 1),
            "state": self._state if self._stock else "empty",
        }
