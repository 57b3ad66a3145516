"""What a Raspberry Pi's firmware remembers of its supply and its temperature, on the places where it tells.

Bits of `get_throttled` (Raspberry Pi documentation, vcgencmd): 0 under-voltage, 1 frequency capped, 2 throttled, 3 soft
temperature limit, each now; 16 to 19 the same, since the start.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

UNDER_VOLTAGE, CAPPED, THROTTLED, SOFT_LIMIT = 1 << 0, 1 << 1, 1 << 2, 1 << 3
EVER = 16
"""Shift of the bits that tell of any time since the start."""


def told_by_kernel(root: Path) -> int | None:
    """The bits, or None where the kernel has no file that tells them."""
    try:
        return int((root / "sys/devices/platform/soc/soc:firmware/get_throttled").read_text(), 16)
    except (OSError, ValueError):
        return None


def throttled(root: Path) -> int | None:
    """The bits, or None where nothing tells them. Asked of the kernel's sysfs file, else of `vcgencmd`."""
    if (bits := told_by_kernel(root)) is not None:
        return bits
    try:
        asked = [str(root / "usr/bin/vcgencmd"), "get_throttled"]
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout
        return int(answer.partition("=")[2], 16)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def under_voltage_alarm(root: Path) -> bool | None:
    """The kernel's own watch on the supply (hwmon `rpi_volt`), or None where there is none."""
    for name in sorted((root / "sys/class/hwmon").glob("hwmon*/name")):
        try:
            if name.read_text().strip() == "rpi_volt":
                return (name.parent / "in0_lcrit_alarm").read_text().strip() == "1"
        except OSError:
            continue
    return None
