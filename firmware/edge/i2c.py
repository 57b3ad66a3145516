"""One device on an I2C bus of any two pins.

Enters and leaves: bytes. Guarantee: every trouble of the bus is a Fault. SoftI2C on all chips, at 100 kHz: an ESP8266 has no
other, several objects may share two pins, and a metre of wire works. A bus whose SDA is held low answers everything with
acknowledged zeros, so both lines are looked at first (UM10204, 3.1.1: both are high when the bus is free).
"""

from errno import ETIMEDOUT

from machine import Pin, SoftI2C

from edge.fault import Fault

PINS = {"scl": "bus", "sda": "bus"}


class Device:
    """`options` has `scl`, `sda` and may have another `address`."""

    def __init__(self, options, address):
        self.address = options.get("address", address)
        self.lines = Pin(options["scl"]), Pin(options["sda"])
        self.i2c = SoftI2C(scl=self.lines[0], sda=self.lines[1], freq=100_000)

    def write(self, data):
        if self._do(self.i2c.writeto, data) < len(data):
            raise Fault("silent", "0x%02x stopped listening in the middle of a command" % self.address)

    def read(self, n):
        return self._do(self.i2c.readfrom, n)

    def register(self, at, n):
        self.write(bytes((at,)))
        return self.read(n)

    def _do(self, call, what):
        try:
            if not all(line.value() for line in self.lines):
                raise OSError(ETIMEDOUT)
            return call(self.address, what)
        except OSError as error:
            if error.errno == ETIMEDOUT:
                raise Fault("stuck", "SCL or SDA is held low: a short, swapped wires, or no pull-ups")
            raise Fault("silent", "nothing answers at 0x%02x: look at power, SCL, SDA and the address" % self.address)
