"""MicroPython's `esp32.Partition` over a file that behaves like NOR flash.

Writing can only clear bits, and only whole words; a sector is erased to ones; erases are counted in `flash.erases`. Both go to
the file in small steps, so that a kill tears them as a power cut would.
"""

import os

SECTOR = 4096
FOLDER = os.getenv("BOARD") or "."
STEP = 16
ONES = b"\xff" * 64


class Partition:
    TYPE_DATA = 1

    @classmethod
    def find(cls, kind, label=None):
        try:
            size = os.stat(FOLDER + "/flash")[6]
        except OSError:
            return []
        return [cls(size)]

    def __init__(self, size):
        self.size = size
        self.file = open(FOLDER + "/flash", "r+b")
        self.written = 0
        self.fault = False

    def ioctl(self, op, arg):
        if op == 4:
            return self.size // SECTOR
        if op == 6:
            for at in range(0, SECTOR, 64):
                self.file.seek(arg * SECTOR + at)
                self.file.write(ONES)
                self.file.flush()
            with open(FOLDER + "/flash.erases", "ab") as log:
                log.write(b"%d\n" % arg)

    def readblocks(self, block, buffer, offset=0):
        self.file.seek(block * SECTOR + offset)
        self.file.readinto(buffer)

    def writeblocks(self, block, data, offset=0):
        assert offset % 4 == 0 and len(data) % 4 == 0, "not in words"
        assert offset + len(data) <= SECTOR
        at = block * SECTOR + offset
        old = bytearray(len(data))
        self.file.seek(at)
        self.file.readinto(old)
        for i, byte in enumerate(data):
            old[i] &= byte
        for i in range(0, len(old), STEP):
            self.file.seek(at + i)
            self.file.write(old[i : i + STEP])
            self.file.flush()
        self.written += len(data)
