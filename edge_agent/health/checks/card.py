"""How long will the SD card last? Cards die of writes, long before they are full.

What is written is counted by the kernel since the start (Documentation/block/stat, field 7). An estimate needs to assume how
often a card can be overwritten: makers of ordinary cards promise nothing, so the assumption is said with the result.
"""

from __future__ import annotations

import os
from pathlib import Path

from edge_agent.health.amounts import lasting, size
from edge_agent.health.context import Context
from edge_agent.health.finding import Finding, Healthy, Unwell

ASSUMED_OVERWRITES = 500
SHORT_LIFE_MS = 3 * 365.25 * 86_400_000
SHORTEST_UPTIME_S = 3600
"""The writes of a start say nothing of the days after it."""

SECTOR = 512
TRY_THIS = "move the data folder (`data`) to an SSD or a USB disk, or fit a card made for constant writing"


def check(context: Context) -> Finding:
    block = _block_device(context)
    if block is None:
        return Healthy("what the data folder is on cannot be told from here")
    if not block.name.startswith("mmcblk"):
        return Healthy(f"the data folder is on {block.name}, not on an SD card")
    kind = "eMMC" if _text(block / "device/type") == "MMC" else "an SD card"
    worn = _worn(block)
    if worn is not None and worn >= 0.8:
        return Unwell(f"{block.name} ({kind}) has used up {worn:.0%} of its life, it says", try_this=TRY_THIS)
    uptime = float((context.root / "proc/uptime").read_text().split()[0])
    if uptime < SHORTEST_UPTIME_S:
        return Healthy(f"the data folder is on {kind}; how much is written can be told an hour after the start")
    written = int(_text(block / "stat").split()[6]) * SECTOR
    capacity = int(_text(block / "size")) * SECTOR
    life = capacity * ASSUMED_OVERWRITES / max(written, 1) * uptime * 1000
    summary = (
        f"the data folder is on {kind} of {size(capacity)}, and {size(written / uptime * 86_400)} are written to it "
        f"a day: it lasts {lasting(min(life, 3.2e12))} if it bears {ASSUMED_OVERWRITES} overwrites (an assumption)"
    )
    if life < SHORT_LIFE_MS:
        return Unwell(summary, try_this=f"{TRY_THIS}; a longer [journal] drain_every and linger write less")
    return Healthy(summary)


def _block_device(context: Context) -> Path | None:
    """The whole disk's folder in sysfs, below partitions and encryption."""
    number = os.stat(context.data_dir).st_dev  # noqa: PTH116 - Path.stat is no shorter
    found = context.root / f"sys/dev/block/{os.major(number)}:{os.minor(number)}"
    if not found.exists():
        return None
    found = found.resolve()
    while below := sorted((found / "slaves").glob("*")):
        found = below[0].resolve()
    return found.parent if (found / "partition").exists() else found


def _worn(block: Path) -> float | None:
    """Share of its life an eMMC has used: `life_time` has two estimates in tenths, 0x01 is up to 10 % (JESD84-B50, 7.4.36)."""
    tenths = [int(word, 16) for word in _text(block / "device/life_time").split()]
    return max(tenths) / 10 if any(tenths) else None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
