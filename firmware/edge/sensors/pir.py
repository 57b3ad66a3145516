"""A PIR motion sensor: HC-SR501, AM312. True while it moves and `hold` seconds after.

HC-SR501 data sheet: a minute of initialisation, with false alarms, output high for 3 s and more. An interrupt remembers a
movement that ends while the board is busy connecting.
"""

import time

from machine import Pin

PINS = {"pin": "irq"}
READINGS = {"motion": {"class": "motion"}}
WATCH = 100


class Sensor:
    """`pin`; `hold` (30 s), `warmup` (60 s)."""

    def __init__(self, options):
        self.pin = Pin(options["pin"], Pin.IN)
        self.hold = int(options.get("hold", 30) * 1000)
        self.warm = int(options.get("warmup", 60) * 1000)
        self.begun = time.ticks_ms()
        self.moved = False
        self.last = None
        self.pin.irq(self._rise, Pin.IRQ_RISING)

    def _rise(self, _):
        self.moved = True

    def read(self):
        now = time.ticks_ms()
        if self.warm:
            if time.ticks_diff(now, self.begun) < self.warm:
                return {}
            self.warm, self.moved = 0, False
        if self.pin.value() or self.moved:
            self.moved, self.last = False, now
        elif self.last is not None and time.ticks_diff(now, self.last) >= self.hold:
            self.last = None
        return {"motion": self.last is not None}
