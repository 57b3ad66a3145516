"""Is the clock right? A Pi without a battery starts in the past, and rules about time misfire."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from edge_agent.health.amounts import lasting
from edge_agent.health.context import Context
from edge_agent.health.finding import Finding, Healthy, Unwell

FIRST_YEAR, LAST_YEAR = 2025, 2100
"""This program is not older, and not that old."""

TRY_THIS = "connect the Pi to a network with NTP once (`timedatectl set-ntp true`), or fit a clock with a battery (RTC)"
BLOCKS = (
    "readings that come without their own time are dated wrongly",
    "schedules and quiet hours",
    "TLS certificates may seem expired or not yet valid",
)


def check(context: Context) -> Finding:
    now = context.clock()
    year = 1970 + now / 31_556_952_000
    if not FIRST_YEAR <= year < LAST_YEAR:
        return Unwell(f"the clock says it is the year {year:.0f}", try_this=TRY_THIS, blocks=BLOCKS)
    said = datetime.fromtimestamp(now / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    synchronised = context.root / "run/systemd/timesync/synchronized"
    if synchronised.exists():
        return Healthy(f"in step with a time server, {said}")
    if context.kernel_clock_in_step():
        return Healthy(f"in step, {said}")
    return Unwell(
        f"the clock says {said}, and is not in step with any time server{_last_set(context.root, now)}",
        try_this=TRY_THIS,
        blocks=BLOCKS,
    )


def _last_set(root: Path, now: int) -> str:
    """systemd-timesyncd touches a file each time it has set the clock."""
    try:
        at = (root / "var/lib/systemd/timesync/clock").stat().st_mtime * 1000
    except OSError:
        return ""
    return f" (last set {lasting(now - at)} ago)" if at <= now else " (and it was later than that already)"
