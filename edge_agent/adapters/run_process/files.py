"""The kernel's files of control groups: written, read, removed."""

from __future__ import annotations

import os
import signal


def write(file: str, value: str, *, needed: bool = True) -> None:
    """Errors: `OSError`; none when the file is not there and is not `needed`."""
    try:
        fd = os.open(file, os.O_WRONLY)
    except FileNotFoundError:
        if needed:
            raise
        return
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def remove(place: str) -> None:
    """Who was killed leaves within milliseconds; who does not within a second keeps the folder for the next start's sweep."""
    for _ in range(200):
        try:
            os.rmdir(place)
        except FileNotFoundError:
            return
        except OSError:
            signal.sigtimedwait([], 0.005)
        else:
            return


def count(lines: bytes, word: bytes) -> int:
    """The number after `word` in lines of `word number`; 0 when it is not there."""
    return next((int(line.split()[1]) for line in lines.splitlines() if line.startswith(word + b" ")), 0)
