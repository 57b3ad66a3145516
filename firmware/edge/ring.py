"""Records in raw flash, written round and round: each sector is erased as often as any other.

Enters: records of bytes. Leaves: the same, oldest first, after a power cut too. Guarantee: what `append` has returned for is
found again by the next `Ring` on this flash; a record that was cut off is found as never written. When the flash is full
the oldest sector goes, whole; `lost` is told its records before. Not chosen: files. LittleFS copies a sector for every line
that is appended and synced, a hundred times what is written here.

A sector: magic, crc, lap (counts sectors begun, for ever), `about` (16 bytes of the owner's: whose records these are).
A record: length, crc of length and body, body, filled up to 4 bytes (ESP flash is written in words; erased flash is 0xFF).
`flash` has `count` sectors of 4096 bytes, `read(at, buffer)`, `write(at, bytes)`, `erase(sector)`.
"""

import struct
from binascii import crc32

SECTOR = 4096
HEAD = 24
MAGIC = 0x5245


def crc(data):
    return crc32(data) & 0xFFFF


class Ring:
    def __init__(self, flash, feed=None):
        """Find what is there. `feed` is called now and then: a watchdog's food."""
        self.flash = flash
        self.count = flash.count
        self.lost = None
        self.about = bytes(16)
        self.lap = 0
        self.head = None  # the sector written to
        self.at = SECTOR  # where in it
        first = None
        for sector in range(self.count):
            if feed:
                feed()
            header = self._header(sector)
            if header and header[0] > self.lap:
                self.lap, self.head = header[0], sector
        if self.head is not None:
            first = self.head
            for back in range(1, self.count):
                header = self._header((self.head - back) % self.count)
                if not header or header[0] != self.lap - back:
                    break
                first = (self.head - back) % self.count
        self.tail = (0 if first is None else first, HEAD)
        if self.head is not None:
            at = HEAD
            while True:
                body = self._record(self.head, at)
                if not body:
                    break
                at += 4 + (len(body) + 3 & ~3)
            self.at = at if body is None else SECTOR  # behind a torn record nothing is written

    def append(self, body):
        """Write a record of at most 1 KiB; where it is."""
        size = 4 + (len(body) + 3 & ~3)
        if self.at + size > SECTOR:
            self._begin()
        record = bytearray(b"\xff" * size)
        record[4 : 4 + len(body)] = body
        struct.pack_into("<H", record, 0, len(body))
        struct.pack_into("<H", record, 2, crc(struct.pack("<H", len(body)) + body))
        where = (self.head, self.at)
        self.at += size  # before writing: a write that fails half way is not written over
        self.flash.write(where[0] * SECTOR + where[1], record)
        return where

    def read(self, where):
        """(place, body, about of its sector if it is the sector's first) from `where` on; None at the end."""
        sector, at = where
        if self.head is None:
            return None
        while True:
            if sector == self.head and at >= self.at:
                return None
            body = self._record(sector, at) if at < SECTOR else None
            if body:
                return (sector, at), body, self._header(sector)[1] if at == HEAD else None
            if sector == self.head:
                return None
            sector, at = (sector + 1) % self.count, HEAD

    def after(self, where, body):
        return where[0], where[1] + 4 + (len(body) + 3 & ~3)

    def end(self):
        """Where the next record is going to be; `read` of it finds nothing until then."""
        return (0, HEAD) if self.head is None else (self.head, self.at)

    def _begin(self):
        sector = 0 if self.head is None else (self.head + 1) % self.count
        if self.head is not None and sector == self.tail[0]:
            if self.lost:
                self.lost(sector)
            self.tail = ((sector + 1) % self.count, HEAD)
        self.flash.erase(sector)
        self.lap += 1
        body = struct.pack("<I16s", self.lap, self.about)
        self.flash.write(sector * SECTOR, struct.pack("<HH", MAGIC, crc(body)) + body)
        if self.head is None:
            self.tail = (sector, HEAD)
        self.head, self.at = sector, HEAD

    def _header(self, sector):
        header = bytearray(HEAD)
        self.flash.read(sector * SECTOR, header)
        magic, check, lap, about = struct.unpack("<HHI16s", header)
        return (lap, about) if magic == MAGIC and crc(memoryview(header)[4:]) == check else None

    def _record(self, sector, at):
        """Its body; None where nothing was written, b"" where it is torn."""
        if at + 4 > SECTOR:
            return None
        head = bytearray(4)
        self.flash.read(sector * SECTOR + at, head)
        size, check = struct.unpack("<HH", head)
        if size == 0xFFFF and check == 0xFFFF:
            return None
        if not 0 < size <= 1024 or at + 4 + size > SECTOR:
            return b""
        body = bytearray(size)
        self.flash.read(sector * SECTOR + at + 4, body)
        return body if crc(bytes(head[:2]) + body) == check else b""
