"""What workers use, looked at a few times a second: where a control group cannot end a worker by itself, this does.

Enters: who runs. Leaves: who used more memory or started more processes than allowed, and who goes first (`precedence`).
With a group, its own count is read. Without one, the resident memory of the whole family is added up; only when that is
too much, the exact share of each (Pss, proc(5)), because forked processes hold the same pages.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping

from edge_agent.adapters.run_process import strays
from edge_agent.adapters.run_process.cgroups import Groups
from edge_agent.adapters.run_process.place import Place

PROCESSES = 256
"""A worker's processes and threads; without a group its processes. Node starts a dozen threads, a JVM a few dozen."""
PERIOD = 0.25
"""Seconds between two looks, with few workers."""
SHARE = 0.0025
"""Seconds for each worker: a thousand are looked at every 2.5 s."""
PAGE = os.sysconf("SC_PAGE_SIZE")


class Watch:
    """`look` as often as you like: it does so when it is `due` (monotonic seconds)."""

    def __init__(self, groups: Groups | None, why: str) -> None:
        self.due = 0.0
        self._groups = groups
        held = groups.controllers if groups else frozenset()
        self.cpu = "cpu" in held
        self._memory = "memory" in held
        self._pids = "pids" in held
        by = f"control group (version {groups.version})" if groups else ""
        seen = f"watched {1 / PERIOD:g} times a second"
        words = {
            "memory": by if self._memory else f"resident memory, {seen}",
            "cpu": by if self.cpu else "low priority only",
            "processes": f"{PROCESSES}, {by if self._pids else seen}",
        }
        self.says = "; ".join(f"{name}: {how}" for name, how in words.items()) + (f" ({why})" if why else "")

    def look(self, places: Mapping[int, Place]) -> list[Place]:
        """Of the running ones, by main process, those that have exceeded something; `why` says what."""
        now = time.monotonic()
        if now < self.due or not places:
            return []
        self.due = now + max(PERIOD, SHARE * len(places))
        if self._groups is not None:
            self._groups.weigh()
        families = {} if self._memory and self._pids else strays.families(places)
        for pid, place in places.items():
            if place.group is not None:
                place.why = place.why or place.group.exceeded()
            if not self._memory and _too_much(families[pid], place.order["memory"]):
                place.why = "memory"
            if not self._pids and len(families[pid]) > PROCESSES:
                place.why = "pids"
        return [place for place in places.values() if place.why]


def _too_much(family: list[int], most: int) -> bool:
    return sum(map(_resident, family)) > most and sum(map(_share, family)) > most


def _resident(pid: int) -> int:
    """Bytes of memory that are no file's."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/statm", "rb") as file:
        _, resident, shared, *_ = map(int, file.read().split())
        return (resident - shared) * PAGE
    return 0


def _share(pid: int) -> int:
    """The same, with what several hold divided by how many they are (Linux 5.4)."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        for line in file:
            if line.startswith(b"Pss_Anon:"):
                return int(line.split()[1]) * 1024
    return 0
