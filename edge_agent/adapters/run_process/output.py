"""What a worker prints: its tail is kept, the whole is passed on, and a flood is not.

A worker may print a burst, and then so many bytes a second. What goes beyond is read and left out, so that it is not
stopped in the middle of its work; one line says how much is missing.
"""

from __future__ import annotations

import os

TAIL = 4096
"""Bytes that are kept of each worker."""
BURST = 1024 * 1024
RATE = 64 * 1024
"""Bytes at once, and bytes a second on average: a busy debug log, not an endless loop."""
GULP = 64 * 1024
"""Bytes read at once: what a pipe holds."""


class Output:
    """One worker's. Times are monotonic seconds."""

    def __init__(self, pipe: int, now: float) -> None:
        self.pipe = pipe
        self.left_out = 0
        """Bytes, in all."""
        self._missing = 0
        self._allowed = float(BURST)
        self._at = now
        self._kept = bytearray()
        self.full = self.over = False
        """The last look found as much as one can hold: there may be more. Nobody has the other end any more."""

    def read(self, now: float) -> bytes:
        """What was printed since the last time, as far as it is passed on."""
        try:
            data = os.read(self.pipe, GULP)
            self.over = not data
        except BlockingIOError:
            data = b""
        self.full = len(data) == GULP
        self._allowed = min(BURST, self._allowed + (now - self._at) * RATE)
        self._at = now
        if not data:
            return b""
        if len(data) > self._allowed or (self._missing and self._allowed < RATE):
            self._missing += len(data)
            self.left_out += len(data)
            return b""
        self._allowed -= len(data)
        return self._keep(self._note() + data)

    def rest(self, now: float) -> bytes:
        """The end of it: what is still in the pipe, and how much is missing."""
        parts = []
        for _ in range(64):  # somebody may still be writing
            parts.append(self.read(now))
            if not self.full:
                break
        return b"".join(parts) + self._keep(self._note())

    def begin(self) -> None:
        """Another process prints from now on: the tail is its own."""
        self._kept.clear()

    @property
    def tail(self) -> str:
        return self._kept.decode("utf-8", "replace").strip()

    def _note(self) -> bytes:
        missing, self._missing = self._missing, 0
        if not missing:
            return b""
        return f"\n[{missing} bytes left out: more than {RATE // 1024} KiB a second; print less]\n".encode()

    def _keep(self, data: bytes) -> bytes:
        self._kept += data
        del self._kept[:-TAIL]
        return data
