"""HC-SR04: distance by ultrasound, or how full a tank is from above.

HC-SR04 data sheet: 10 us on trigger, echo is high as long as the sound travels, us / 58 is cm; 2 to 400 cm; 60 ms between two
measurements, so that no echo of the one is taken for the other's. Median of several, because single echoes come from the ladder
in the tank. Sound is faster in warm air: 331.3 + 0.606 T m/s, `air` degrees. Its echo is 5 V: a divider (1 and 2 kohm) makes 3.3 V.
"""

import time

from machine import Pin, time_pulse_us

from edge.fault import Fault

PINS = {"trigger": "out", "echo": "in"}
READINGS = {"distance": {"unit": "cm", "class": "distance", "min": 2, "max": 400}}


class Sensor:
    """`trigger`, `echo`; `samples` (5), `air` (20 °C). A tank: `empty` and `full`, the distances in cm, say %; `litres` says litres."""

    nearest, farthest = 2, 400
    pulse = 10
    longest = 30_000  # us; 400 cm are 23,300, and what has no echo takes 38,000

    def __init__(self, options):
        self.trigger = Pin(options["trigger"], Pin.OUT, value=0)
        self.echo = Pin(options["echo"], Pin.IN)
        self.samples = options.get("samples", 5)
        self.speed = (331.3 + 0.606 * options.get("air", 20)) / 20_000  # cm there and back per us
        self.empty, self.full = options.get("empty"), options.get("full")
        self.whole = options.get("litres", 100)
        if self.empty is None:
            self.readings = {"distance": {"unit": "cm", "class": "distance", "min": self.nearest, "max": self.farthest}}
            return
        if not self.nearest <= (self.full or 0) < self.empty <= self.farthest:
            raise ValueError("full, then empty: distances from %d to %d cm" % (self.nearest, self.farthest))
        about = {"unit": "L", "class": "volume"} if "litres" in options else {"unit": "%"}
        self.readings = {"level": dict(about, min=0, max=self.whole)}

    def read(self):
        echoes, fault = [], None
        for i in range(self.samples):
            if i:
                time.sleep_ms(60)
            try:
                echoes.append(self._ping())
            except Fault as error:
                fault = error
        if 2 * len(echoes) <= self.samples:
            raise fault
        echoes.sort()
        distance = echoes[len(echoes) // 2] * self.speed
        if not self.nearest <= distance <= self.farthest:
            raise Fault("range", "%d cm: it measures %d to %d cm" % (distance, self.nearest, self.farthest))
        if self.empty is None:
            return {"distance": round(distance, 1)}
        part = (self.empty - distance) / (self.empty - self.full)
        if not -0.1 <= part <= 1.1:
            raise Fault("range", "%d cm is outside the tank: measure empty and full again" % distance)
        return {"level": round(min(max(part, 0), 1) * self.whole, 1)}

    def _ping(self):
        if self.echo.value():
            raise Fault("stuck", "echo is high before anything was sent")
        self.trigger.value(1)
        time.sleep_us(self.pulse)
        self.trigger.value(0)
        us = time_pulse_us(self.echo, 1, self.longest)
        if us == -2:
            raise Fault("silent", "no answer: look at 5 V, trigger and echo")
        if us < 0:
            raise Fault("late", "no echo: too far, or the surface throws the sound aside")
        return us
