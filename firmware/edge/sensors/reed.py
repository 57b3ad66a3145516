"""A reed switch at a door, window or lid: true is open. Any contact between a pin and ground will do.

Contacts bounce for some milliseconds (reed data sheets: below 1 ms; doors rattle longer): a position counts when it has held for
`settle` ms. An interrupt remembers one that held that long while the board was busy connecting: a door opened and shut in
between is told as both.
"""

import time

from machine import Pin

PINS = {"pin": "up"}
READINGS = {"open": {"class": "door"}}
WATCH = 50


class Sensor:
    """`pin`; `settle` (30 ms), `invert` for a contact that closes when the door opens."""

    def __init__(self, options):
        self.pin = Pin(options["pin"], Pin.IN, Pin.PULL_UP)
        self.shut = 1 if options.get("invert") else 0
        self.settle = options.get("settle", 30)
        self.open = self.told = self.missed = None
        self.at = time.ticks_ms()
        self.settled = False
        self._edge(self.pin)
        self.pin.irq(self._edge, Pin.IRQ_RISING | Pin.IRQ_FALLING)

    def _edge(self, pin):
        now = time.ticks_ms()
        if not self.settled:
            self.settled = time.ticks_diff(now, self.at) >= self.settle
        is_open = pin.value() != self.shut
        if is_open != self.open:
            if self.settled and self.open != self.told:
                self.missed = self.open
            self.open, self.at, self.settled = is_open, now, False

    def read(self):
        self._edge(self.pin)
        if self.missed is not None:
            self.told, self.missed = self.missed, None
        elif self.settled:
            self.told = self.open
        return {} if self.told is None else {"open": self.told}
