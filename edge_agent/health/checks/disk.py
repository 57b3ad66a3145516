"""Is there room for the readings? A full disk stops the acknowledging, and boards then hold on until they are full too."""

from __future__ import annotations

from edge_agent.health.amounts import size
from edge_agent.health.context import Context
from edge_agent.health.finding import Finding, Healthy, Unwell

LEAST_BYTES, LEAST_SHARE = 200_000_000, 0.05
LEAST_INODES = 1000


def check(context: Context) -> Finding:
    disk = context.statvfs(context.data_dir)
    free, all_of_it = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    blocks = ("readings are no longer acknowledged once it is full", "functions that need room to run")
    if free < LEAST_BYTES or free < LEAST_SHARE * all_of_it:
        return Unwell(
            f"only {size(free)} of {size(all_of_it)} are free where {context.data_dir} is",
            try_this="make room (`sudo apt clean`, `journalctl --vacuum-size=100M`), keep readings for a shorter time "
            "([history] keep_raw), or move the data folder to a larger disk",
            blocks=blocks,
        )
    if disk.f_files and disk.f_favail < LEAST_INODES:
        return Unwell(
            f"only {disk.f_favail} more files can be made where {context.data_dir} is, though {size(free)} are free",
            try_this="find the folder with very many small files (`du --inodes -x / | sort -n | tail`) and clear it",
            blocks=blocks,
        )
    return Healthy(f"{size(free)} of {size(all_of_it)} are free")
