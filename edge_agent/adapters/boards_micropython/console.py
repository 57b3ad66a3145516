"""A board's serial port as text. Only read: a byte sent to MicroPython could stop the firmware (Ctrl-C).

Enters: a port. Leaves: lines. Guarantee: a line is at most `LONGEST` characters, whatever the board sends, and holds no control
characters, which would steer the reader's terminal. Errors: `Unavailable` (unplugged, or another program has it).
"""

from __future__ import annotations

import fcntl
import os
import termios
import tty
from collections.abc import Iterator

from edge_agent.errors import Unavailable

LONGEST = 4096


def listen(port: str) -> Iterator[str]:
    """Lines, as they come, at the 115,200 baud of every MicroPython board."""
    try:
        descriptor = os.open(port, os.O_RDONLY | os.O_NOCTTY)
    except OSError as error:
        raise Unavailable(f"{port} cannot be opened: {error.strerror}") from None
    try:
        yield from _lines(descriptor, port)
    finally:
        os.close(descriptor)


def _lines(descriptor: int, port: str) -> Iterator[str]:
    rest = b""
    try:
        fcntl.ioctl(descriptor, termios.TIOCEXCL)
        tty.setraw(descriptor)
        settings = termios.tcgetattr(descriptor)
        settings[4] = settings[5] = termios.B115200
        termios.tcsetattr(descriptor, termios.TCSANOW, settings)
        while data := os.read(descriptor, 4096):
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > LONGEST:
                lines, rest = [*lines, rest], b""
            yield from map(_plain, lines)
    except (OSError, termios.error) as error:
        raise Unavailable(f"{port} is gone ({error}): was the board unplugged?") from None
    raise Unavailable(f"{port} is gone: was the board unplugged?")


def _plain(line: bytes) -> str:
    text = line[:LONGEST].decode(errors="replace").rstrip("\r")
    return "".join(sign if sign.isprintable() or sign == "\t" else "\ufffd" for sign in text)
