"""Is it too hot? A Raspberry Pi slows down from 80 °C on, and all the way at 85 °C."""

from __future__ import annotations

from pathlib import Path

from edge_agent.health import firmware
from edge_agent.health.context import Context
from edge_agent.health.finding import Finding, Healthy, Unwell

HOT = 80.0
PLAUSIBLE = (-55.0, 150.0)
"""°C; sensors that are off report nonsense."""

TRY_THIS = "give it air, fit a heat sink or a fan, move it away from what warms it, or have fewer functions run at once"


def check(context: Context) -> Finding:
    hottest = max((t for t in map(_celsius, _zones(context.root)) if t is not None), default=None)
    bits = firmware.throttled(context.root) or 0
    slowed = bits & (firmware.THROTTLED | firmware.SOFT_LIMIT)
    if hottest is None and not slowed:
        return Healthy("no thermometer here")
    said = "" if hottest is None else f"{hottest:.0f} °C"
    if slowed or (hottest is not None and hottest >= HOT):
        now = " and it is slowed down for it" if slowed else ""
        return Unwell(f"too hot: {said or 'the firmware says so'}{now}", try_this=TRY_THIS, blocks=("full speed",))
    return Healthy(said)


def _zones(root: Path) -> list[Path]:
    return sorted((root / "sys/class/thermal").glob("thermal_zone*/temp"))


def _celsius(zone: Path) -> float | None:
    """Documentation/driver-api/thermal/sysfs-api: millidegrees. Sensors of devices that are off refuse to be read."""
    try:
        found = int(zone.read_text()) / 1000
    except (OSError, ValueError):
        return None
    return found if PLAUSIBLE[0] <= found <= PLAUSIBLE[1] else None
