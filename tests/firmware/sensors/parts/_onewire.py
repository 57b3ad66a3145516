"""MicroPython's `_onewire` with DS18B20s on the wire, bit by bit: open drain, so a 0 of one is a 0 for all.

DS18B20 data sheet: ROM commands, search and function commands ("1-Wire bus system"), scratchpad (figure 9). 0 bits win.
"""

import time

from machine import Pin

parts = []
flips = set()  # numbers of the bits read that a disturbance turns over
read = 0


def crc8(data):
    crc = 0
    for byte in data:
        for i in range(8):
            mix = (crc ^ byte >> i) & 1
            crc = crc >> 1 ^ (0x8C if mix else 0)
    return crc


def reset(pin):
    for part in parts:
        part.begin()
    return bool(parts)


def writebit(pin, bit):
    for part in parts:
        part.hear(1 if bit else 0)


def readbit(pin):
    global read
    read += 1
    said = [part.say() for part in parts]
    return min(said) ^ (read in flips) if said else 1


def writebyte(pin, byte):
    for i in range(8):
        writebit(pin, byte >> i & 1)


def readbyte(pin):
    return sum(readbit(pin) << i for i in range(8))


def bits(data):
    return [byte >> i & 1 for byte in data for i in range(8)]


class Ds18b20:
    """`raw`: sixteenths of a degree it would measure. `fed` by the wire: it measures only while the pin is driven high."""

    def __init__(self, serial, raw, fed=None):
        rom = b"\x28" + serial
        self.rom = rom + bytes((crc8(rom),))
        self.raw, self.fed = raw, fed
        self.register = 0x0550
        self.began = None
        self.begin()

    def begin(self):
        self._finish()
        self.task, self.heard, self.queue = "rom", [], []

    def hear(self, bit):
        if self.task == "search":
            at = len(self.heard)
            if bit != bits(self.rom)[at]:
                self.task = "out"
                return
            self.heard.append(bit)
            self.queue = [] if at == 63 else self._pair(at + 1)
            return
        self.heard.append(bit)
        if self.task in ("rom", "function") and len(self.heard) == 8:
            getattr(self, "_" + self.task)(sum(b << i for i, b in enumerate(self.heard)))
        elif self.task == "match" and len(self.heard) == 64:
            self.task, self.heard = "function" if self.heard == bits(self.rom) else "out", []

    def say(self):
        return self.queue.pop(0) if self.queue else 1

    def _pair(self, at):
        bit = bits(self.rom)[at]
        return [bit, 1 - bit]

    def _rom(self, command):
        self.task, self.heard = {0xF0: "search", 0x55: "match", 0xCC: "function"}[command], []
        if command == 0xF0:
            self.queue = self._pair(0)

    def _function(self, command):
        if command == 0xB4:
            self.queue = [0 if self.fed else 1]
        elif command == 0x44:
            self.began = time.ticks_ms()
        elif command == 0xBE:
            # Register, alarms, configuration of 12 bits, reserved.
            data = bytes((self.register & 255, self.register >> 8 & 255, 0x4B, 0x46, 0x7F, 0xFF, 0x0C, 0x10))
            self.queue = bits(data + bytes((crc8(data),)))
        self.task = "out"

    def _finish(self):
        if self.began is not None and time.ticks_diff(time.ticks_ms(), self.began) >= 750:
            if self.fed is None or Pin(self.fed).driven and Pin(self.fed).driven[0][1] == 1:
                self.register = self.raw
            self.began = None
