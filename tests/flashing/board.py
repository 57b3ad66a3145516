"""A board on a pty: the serial loader of an ESP32's ROM, as the real esptool speaks to it, then MicroPython's raw REPL, as the
real mpremote does, both behind one port.

The loader's commands and answers are those of Espressif's "Serial Protocol" (esptool documentation). What the REPL is
told runs in the real MicroPython (unix port), in a folder that stands for the board's file system. At block `unplug_after` the
port is gone. What a pty has not: modem lines, so nothing here shows that a real board is reset into its loader and out of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pty
import struct
import subprocess
import threading
import tty
import zlib
from pathlib import Path

from tests.firmware.unixboard import MICROPYTHON

SYNC, READ, MEM_END, DEFL_BEGIN, DEFL_DATA, MD5 = 0x08, 0x0A, 0x06, 0x10, 0x11, 0x13
SLIP, RAW, NORMAL, INTERRUPT, RUN, PASTE = 0xC0, 0x01, 0x02, 0x03, 0x04, 0x05
CHILD = """
import sys, io
told, said, names = sys.stdin.buffer, sys.stdout.buffer, {}
while True:
    size = told.readline()
    if not size: break
    source, fault = told.read(int(size)), b""
    try: exec(source, names)
    except BaseException as error:
        text = io.StringIO()
        sys.print_exception(error, text)
        fault = text.getvalue().encode()
    said.write(b"\\x04" + fault + b"\\x04")
"""
REGISTERS = {0x40001000: 0x00F01D83, 0x3FF40014: 347, 0x3FF42080: 0x1640EF}
"""An ESP32's magic word, its UART divider, and the id of a flash chip of 4 MB."""


class Board:
    """`with Board(folder) as board: board.port`. `flash` is what its flash holds, `blocks` how many it was sent."""

    def __init__(self, folder: Path, magic: int = REGISTERS[0x40001000]) -> None:
        self.files = folder
        self.flash = bytearray(b"\xff" * (4 << 20))
        self.blocks = 0
        self.unplug_after = 0
        self.restarts = 0
        self._registers = REGISTERS | {0x40001000: magic}
        self._status = 4
        self._raw = False
        self.plug()

    def plug(self) -> None:
        """In, under a new name."""
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._status = 4
        self._python: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._serve, args=(self._master,), daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        self._end_python()
        for end in (self._slave, self._master):
            with contextlib.suppress(OSError):
                os.close(end)

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()

    def _serve(self, master: int) -> None:
        frame: bytearray | None = None
        line = bytearray()
        with contextlib.suppress(OSError):
            while master == self._master:
                for byte in os.read(master, 4096):
                    if frame is None and byte != SLIP:
                        self._typed(byte, line)
                    elif frame is None or (byte == SLIP and not frame):
                        frame = bytearray()
                    elif byte == SLIP:
                        packet, frame = bytes(frame), None
                        self._command(packet.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb"))
                    else:
                        frame.append(byte)

    def _command(self, packet: bytes) -> None:
        _, operation, _, _ = struct.unpack("<BBHI", packet[:8])
        data = packet[8:]
        if operation == SYNC:
            self._status = 4  # a board is in its ROM again; a pty has no line that says so
            for _ in range(8):
                self._answer(operation, 0x20120707)
        elif operation == READ:
            self._answer(operation, self._registers.get(struct.unpack("<I", data[:4])[0], 0))
        elif operation == MEM_END:
            self._answer(operation)
            self._status = 2  # from here on it is esptool's own stub that answers
            self._write(b"OHAI")
        elif operation == DEFL_BEGIN:
            self._at, self._packed = struct.unpack("<IIII", data[:16])[3], b""
            self._answer(operation)
        elif operation == DEFL_DATA:
            self.blocks += 1
            if self.blocks == self.unplug_after:
                self.unplug()
                return
            self._packed += data[16:]
            plain = zlib.decompressobj().decompress(self._packed)
            self.flash[self._at : self._at + len(plain)] = plain
            self._answer(operation)
        elif operation == MD5:
            at, size = struct.unpack("<II", data[:8])
            digest = hashlib.md5(self.flash[at : at + size])
            self._answer(operation, data=digest.digest() if self._status == 2 else digest.hexdigest().encode())
        else:
            self._answer(operation)

    def _answer(self, operation: int, value: int = 0, data: bytes = b"") -> None:
        self._write(struct.pack("<BBHI", 1, operation, len(data) + self._status, value) + data + bytes(self._status))

    def _write(self, packet: bytes) -> None:
        packed = packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
        os.write(self._master, b"\xc0" + packed + b"\xc0")

    def _typed(self, byte: int, line: bytearray) -> None:
        if byte == RAW:
            self._raw = True
            line.clear()
            os.write(self._master, b"\r\nraw REPL; CTRL-B to exit\r\n>")
        elif byte == NORMAL:
            self._raw = False
            os.write(self._master, b"\r\nMicroPython; type help()\r\n>>> ")
        elif byte == INTERRUPT:
            line.clear()
        elif byte == RUN and self._raw:
            if line[:1] == bytes([PASTE]):  # "A", 0x01 follow: raw-paste mode is refused, as older versions do
                line.clear()
            self._run(bytes(line))
            line.clear()
        elif byte == RUN:
            os.write(self._master, b"\r\nMPY: soft reboot\r\n>>> ")
        elif self._raw:
            line.append(byte)

    def _run(self, source: bytes) -> None:
        self.restarts += b"machine.reset()" in source  # the unix port has nothing to reset
        if self._python is None:
            self._python = subprocess.Popen(
                [str(MICROPYTHON), "-c", CHILD], cwd=self.files, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        told, said = self._python.stdin, self._python.stdout
        assert told
        assert said
        os.write(self._master, b"OK")
        told.write(b"%d\n" % len(source) + source)
        told.flush()
        ends = 0
        while ends < 2 and (byte := said.read(1)):
            ends += byte == b"\x04"
            os.write(self._master, byte)
        os.write(self._master, b">")

    def _end_python(self) -> None:
        if self._python:
            self._python.kill()
            self._python.wait()
            self._python = None
