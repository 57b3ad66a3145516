"""A relay, pump, valve or lamp on one pin. Most relay boards switch on at low level: `active_low` true."""

from machine import Pin


class Actuator:
    """`pin`, `active_low` (false). Rest is off; the pin is at rest from the moment it is an output."""

    rest = False

    def __init__(self, options):
        self.low = bool(options.get("active_low"))
        self.pin = Pin(options["pin"], Pin.OUT, value=1 if self.low else 0)

    def set(self, value):
        if not isinstance(value, bool):
            raise ValueError("true or false")
        self.pin.value(0 if value == self.low else 1)
