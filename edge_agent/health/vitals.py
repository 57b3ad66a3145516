"""How the machine is, read cheaply: a handful of small files of /proc and /sys, which never block.

Enters: nothing. Leaves: `Vitals`. What this kernel or board does not tell stays None; nothing here raises.
Not chosen: asking `vcgencmd`, as the health checks do where the kernel's file is missing. Starting a program takes
milliseconds of the loop that hands events over; without the file its heat is told by the thermometer alone.
"""

from __future__ import annotations

from pathlib import Path

from edge_agent.domain.vitals import Vitals
from edge_agent.health import firmware, thermometers


class Look:
    """`look()` reads anew. `root` is where /proc and /sys are found; which thermometers there are is looked up once."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._zones = thermometers.zones(root)

    def __call__(self) -> Vitals:
        bits = firmware.told_by_kernel(self._root) or 0
        return Vitals(
            memory_available=memory(self._root, "MemAvailable"),
            celsius=thermometers.hottest(self._zones),
            slowed=bool(bits & (firmware.THROTTLED | firmware.SOFT_LIMIT)),
            under_voltage=bool(bits & firmware.UNDER_VOLTAGE),
            memory_stalled=self._pressure("memory", "full"),
            io_stalled=self._pressure("io", "full"),
            cpu_awaited=self._pressure("cpu", "some"),
        )

    def _pressure(self, of: str, line: str) -> float | None:
        """Percent of the last ten seconds (Documentation/accounting/psi: `full avg10=0.12 avg60=...`)."""
        try:
            for row in (self._root / "proc/pressure" / of).read_text().splitlines():
                words = row.split()
                if words[:1] == [line]:
                    return float(words[1].removeprefix("avg10="))
        except (OSError, ValueError, IndexError):  # a kernel built with it and started without it refuses to be read
            pass
        return None


def memory(root: Path, name: str) -> int | None:
    """Bytes, of one row of /proc/meminfo (proc(5)); None where it is not told."""
    try:
        with (root / "proc/meminfo").open() as file:
            for row in file:
                if row.startswith(f"{name}:"):
                    return int(row.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None
