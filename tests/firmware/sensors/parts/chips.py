"""Chips on an I2C bus, as their data sheets have them; each can be slow, or turn over bits on the wire."""

import struct
import time
from errno import ENODEV


class Chip:
    takes = 0  # ms
    flip = None  # bit of the next answer
    silent_after = None  # acknowledges that many bytes of a command

    def __init__(self):
        self.began = time.ticks_ms()

    def busy(self):
        return time.ticks_diff(time.ticks_ms(), self.began) < self.takes

    def write(self, data):
        if self.silent_after is not None:
            return self.silent_after
        self.told(data)
        return len(data)

    def read(self, n):
        data = bytearray(self.answer(n))
        if self.flip is not None:
            data[self.flip >> 3] ^= 128 >> (self.flip & 7)
        return bytes(data)


class Sht3x(Chip):
    """`words` with their checksums; a read while it measures is not acknowledged (data sheet, 4.4)."""

    takes = 15

    def __init__(self, words):
        self.words = words
        self.ready = False

    def told(self, data):
        assert data == b"\x24\x00"
        self.began, self.ready = time.ticks_ms(), True

    def answer(self, n):
        if not self.ready or self.busy():
            raise OSError(ENODEV)
        self.ready = False
        return self.words[:n]


class Bh1750(Chip):
    takes = 180

    def __init__(self, count):
        self.count = count
        self.on = self.asked = False

    def told(self, data):
        self.on = self.on or data == b"\x01"
        if data == b"\x20" and self.on:
            self.began, self.asked = time.ticks_ms(), True

    def answer(self, n):
        done = self.asked and not self.busy()
        return struct.pack(">H", self.count if done else 0)


class Bme280(Chip):
    """Registers as in the data sheet's memory map (table 18); `raw`: pressure, temperature, humidity."""

    takes = 9

    def __init__(self, trim, raw, chip=0x60):
        self.raw = raw
        self.at = 0
        self.memory = bytearray(256)
        self.memory[0xD0] = chip
        self.memory[0x88:0xA0] = struct.pack("<HhhHhhhhhhhh", *trim[:12])
        h1, h2, h3, h4, h5, h6 = trim[12:]
        self.memory[0xA1] = h1
        self.memory[0xE1:0xE8] = struct.pack(
            "<hBBBBb", h2, h3, h4 >> 4 & 255, h4 & 15 | (h5 & 15) << 4, h5 >> 4 & 255, h6
        )
        self.memory[0xF7:0xFF] = b"\x80\x00\x00\x80\x00\x00\x80\x00"
        self.measuring = False

    def told(self, data):
        self.at = data[0]
        if len(data) == 2:
            self.memory[data[0]] = data[1]
            if data[0] == 0xF4 and data[1] & 3:
                self.measuring, self.began = True, time.ticks_ms()

    def answer(self, n):
        if self.measuring and not self.busy():
            self.measuring = False
            p, t, h = self.raw
            if not self.memory[0xF2] & 7:
                h = 0x8000  # skipped
            self.memory[0xF7:0xFF] = struct.pack(">HBHBH", p >> 4, (p & 15) << 4, t >> 4, (t & 15) << 4, h)
        self.memory[0xF3] = 8 if self.measuring else 0
        return self.memory[self.at : self.at + n]


class Ssd1306(Chip):
    """Its picture, from commands and data in page addressing mode."""

    ARGUMENTS = (0x81, 0x20, 0xA8, 0xD3, 0xDA, 0xD5, 0xD9, 0xDB, 0x8D)

    def __init__(self):
        self.ram = bytearray(8 * 128)
        self.page = self.column = 0
        self.on = False
        self.settings = {}

    def told(self, data):
        if data[0] == 0x40:
            for byte in data[1:]:
                self.ram[self.page * 128 + self.column] = byte
                self.column = (self.column + 1) % 128
            return
        assert data[0] == 0
        commands = list(data[1:])
        while commands:
            command = commands.pop(0)
            if command in self.ARGUMENTS:
                self.settings[command] = commands.pop(0)
            elif command & 0xF8 == 0xB0:
                self.page = command & 7
            elif command < 0x10:
                self.column = self.column & 0xF0 | command
            elif command < 0x20:
                self.column = self.column & 15 | (command & 15) << 4
            elif command & 0xFE == 0xAE:
                self.on = bool(command & 1)
