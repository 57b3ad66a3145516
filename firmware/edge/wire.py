"""A 1-Wire bus: reset, bytes with their CRC, and the search for who is there.

Enters and leaves: bytes; ROM codes. Guarantee: what `read` returns has passed its CRC, and is not the zeros of a shorted wire,
whose CRC is right too. The bits are MicroPython's `_onewire`, in C on ESP8266 and ESP32 (timing: DS18B20 data sheet, "1-Wire
Signaling"); search and CRC: Maxim application notes 187 and 27.
"""

from _onewire import crc8, readbit, readbyte, reset, writebit, writebyte
from machine import Pin

from edge.fault import Fault


class Wire:
    def __init__(self, pin):
        self.pin = Pin(pin, Pin.OPEN_DRAIN, Pin.PULL_UP)
        self.number = pin

    def reset(self):
        if not self.pin.value():
            raise Fault("stuck", "the wire at pin %s is held low" % self.number)
        if not reset(self.pin):
            raise Fault("silent", "nobody on the wire at pin %s: it wants 4.7 kohm to 3V3" % self.number)

    def write(self, data):
        for byte in data:
            writebyte(self.pin, byte)

    def read(self, n):
        """`n` bytes, the last of them their CRC."""
        data = bytes(readbyte(self.pin) for _ in range(n))
        if data == b"\xff" * n:
            raise Fault("silent", "the sensor does not answer")
        if crc8(data) or not any(data):
            raise Fault("crc", "wrong checksum: a long wire wants a stronger pull-up, down to 1.5 kohm")
        return data

    def bit(self):
        return readbit(self.pin)

    def strong(self, on):
        """Feed the bus from the pin, for sensors without a wire for power."""
        if on:
            self.pin.init(Pin.OUT, value=1)
        else:
            self.pin.init(Pin.OPEN_DRAIN, Pin.PULL_UP, value=1)

    def search(self, most=16):
        """ROM codes of all who are there, `most` of them."""
        found = []
        rom = bytearray(8)
        split = -1  # where the last pass took 0 though some have 1
        while len(found) < most:
            self.reset()
            self.write(b"\xf0")
            zero = -1
            for i in range(64):
                at, mask = i >> 3, 1 << (i & 7)
                bit, other = readbit(self.pin), readbit(self.pin)
                if bit and other:
                    raise Fault("silent", "a sensor left in the middle of the search")
                if bit == other:
                    bit = 1 if i == split else 0 if i > split else bool(rom[at] & mask)
                    if not bit:
                        zero = i
                rom[at] = rom[at] | mask if bit else rom[at] & ~mask
                writebit(self.pin, bit)
            if crc8(rom) or not rom[0]:
                raise Fault("crc", "wrong checksum in a sensor's address")
            found.append(bytes(rom))
            if zero < 0:
                break
            split = zero
        return found
