"""What the machine's thermometers say (Documentation/driver-api/thermal/sysfs-api)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

PLAUSIBLE = (-55.0, 150.0)
"""°C; sensors that are off report nonsense."""


def zones(root: Path) -> list[Path]:
    """The files that tell."""
    return sorted((root / "sys/class/thermal").glob("thermal_zone*/temp"))


def hottest(files: Iterable[Path]) -> float | None:
    """Degrees Celsius; None: no thermometer tells any."""
    return max((found for found in map(_celsius, files) if found is not None), default=None)


def _celsius(zone: Path) -> float | None:
    """Millidegrees. Sensors of devices that are off refuse to be read."""
    try:
        found = int(zone.read_text()) / 1000
    except (OSError, ValueError):
        return None
    return found if PLAUSIBLE[0] <= found <= PLAUSIBLE[1] else None
