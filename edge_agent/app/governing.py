"""Who governs the starts of workers on this machine: settings, and where they leave it open the board, made into limits."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

from edge_agent.domain.quantities import format_size
from edge_agent.engine.functions.governor import Governor, Limits
from edge_agent.engine.functions.limits import for_board
from edge_agent.health import vitals
from edge_agent.settings import Settings

log = logging.getLogger(__name__)


def governor(settings: Settings, root: Path = Path("/")) -> Governor:
    """`root` is where /proc and /sys are found."""
    found = limits(settings, root)
    rate = f"{found.per_second:g} a second, {found.burst} at once" if found.per_second else "at any rate"
    reserve = (
        f"{format_size(found.memory_reserve)} of memory left free" if found.memory_reserve else "memory not looked at"
    )
    hot = f"slowly from {found.hot:g} °C on" if found.hot else "heat not looked at"
    log.info(
        "workers are started: %s; %s; %s; pressure %slooked at", rate, reserve, hot, "" if found.pressure else "not "
    )
    return Governor(found, vitals.Look(root))


def limits(settings: Settings, root: Path = Path("/")) -> Limits:
    """What is set, and for the rest what suits the board and the runner."""
    said, pods = settings.functions.starts, settings.functions.runner != "process"
    board = for_board(cores=len(os.sched_getaffinity(0)), memory=vitals.memory(root, "MemTotal") or 0, pods=pods)
    rate = board.per_second if said.per_second is None else said.per_second
    burst = max(1, round(board.burst * rate / board.per_second)) if said.burst is None else said.burst
    reserve = board.memory_reserve if said.memory_reserve is None or pods else said.memory_reserve
    return replace(board, per_second=rate, burst=burst, memory_reserve=reserve, hot=said.hot, pressure=said.pressure)
