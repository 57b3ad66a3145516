"""A radiator thermostat: it holds its setpoint with a dead zone, and its battery runs down."""

from __future__ import annotations

from random import Random

from edge_agent.domain.reading import Value

DEVICE = "thermostat"
ABOUT = {
    "model": "simulated radiator valve",
    "readings": {
        "temperature": {"unit": "°C", "class": "temperature", "min": 0, "max": 50},
        "setpoint": {"unit": "°C", "class": "temperature", "min": 5, "max": 30},
        "heating": {"class": "heat"},
        "battery": {"unit": "%", "class": "battery", "min": 0, "max": 100},
    },
}
SETPOINTS = (17.0, 20.0, 21.5)


class Profile:
    def __init__(self, random: Random) -> None:
        self._random = random
        self._setpoint = random.choice(SETPOINTS)
        self._temperature = self._setpoint + random.uniform(-1.5, 1.5)
        self._battery = random.uniform(30.0, 100.0)
        self._heating = False
        self._last = 0

    def measure(self, now: int) -> dict[str, Value]:
        seconds = min(60.0, (now - self._last) / 1000) if self._last else 0.0
        self._last = now
        if self._random.random() < seconds / 600:
            self._setpoint = self._random.choice(SETPOINTS)
        if abs(self._temperature - self._setpoint) > 0.3:
            self._heating = self._temperature < self._setpoint
        self._temperature += seconds * (0.02 if self._heating else -0.008)
        self._battery = max(0.0, self._battery - seconds * 0.001)
        return {
            "temperature": round(self._temperature + self._random.gauss(0, 0.05), 1),
            "setpoint": self._setpoint,
            "heating": self._heating,
            "battery": round(self._battery),
        }
