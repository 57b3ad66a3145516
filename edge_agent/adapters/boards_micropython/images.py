"""MicroPython for a chip, from a folder somebody filled from https://micropython.org/download.

Enters: a folder of .bin files under their own names, and `SHA256SUMS` beside them (`sha256sum *.bin > SHA256SUMS`). Leaves: the
newest stable one for a chip. Guarantee: its bytes have the checksum that `SHA256SUMS` says; one it does not name is refused.
Not chosen: a table of checksums in the program. None is known that could be verified, so whoever downloads vouches for them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from edge_agent.errors import NotFound, Refused

SUMS = "SHA256SUMS"
CHIPS = {
    "ESP32": ("ESP32_GENERIC", 0x1000),
    "ESP32-S2": ("ESP32_GENERIC_S2", 0x1000),
    "ESP32-S3": ("ESP32_GENERIC_S3", 0x0),
    "ESP32-C3": ("ESP32_GENERIC_C3", 0x0),
    "ESP32-C6": ("ESP32_GENERIC_C6", 0x0),
}
"""A chip as esptool names it: MicroPython's name for its board, and where in flash it goes (each board's page there).
ESP8266 is not here: the firmware fits its memory only as a ROMFS image, which this flasher does not make yet."""


@dataclass(frozen=True, slots=True)
class Image:
    """A checked file, MicroPython's version, and the address it is written to."""

    file: Path
    version: str
    address: int


def image_for(chip: str, folder: Path) -> Image:
    """Raises `Refused` (a chip without firmware, a wrong checksum), `NotFound` (nothing for it in the folder)."""
    if chip not in CHIPS:
        raise Refused(f"this board is an {chip}; the firmware is flashed to {', '.join(CHIPS)}")
    board, address = CHIPS[chip]
    found = {}
    for file in folder.glob(f"{board}-*.bin"):
        if named := re.fullmatch(rf"{board}-\d{{8}}-v(\d+)\.(\d+)\.(\d+)\.bin", file.name):
            found[tuple(map(int, named.groups()))] = file
    if not found:
        raise NotFound(
            f"no MicroPython for {chip} in {folder}: download {board}-DATE-vVERSION.bin from "
            f"https://micropython.org/download/{board} into it, then there: sha256sum *.bin > {SUMS}"
        )
    version, file = max(found.items())
    _check(file)
    return Image(file, ".".join(map(str, version)), address)


def _check(file: Path) -> None:
    sums = file.with_name(SUMS)
    try:
        lines = [line.split() for line in sums.read_text().splitlines()]
    except FileNotFoundError:
        raise NotFound(f"{sums} is not there, so nothing vouches for {file.name}: sha256sum *.bin > {SUMS}") from None
    known = {line[1].lstrip("*"): line[0] for line in lines if len(line) == 2}
    if file.name not in known:
        raise NotFound(f"{sums} does not name {file.name}: sha256sum *.bin > {SUMS}")
    if hashlib.sha256(file.read_bytes()).hexdigest() != known[file.name].lower():
        raise Refused(f"{file} is not what {sums} says: download it again")
