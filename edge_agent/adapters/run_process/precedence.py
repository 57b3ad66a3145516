"""Who goes first where all want the processor: the agent, and functions that used little of it lately.

Enters: what each function's workers use, a few times a second. Leaves: the weight of each function's group.
Guarantee: functions that use much have together a tenth of the agent's weight, each the same, however many workers it has.
Why not one weight for all: a group with a small weight is served late, not only little, so the answer of a function with an
event now and then waited for the processor behind the agent, busy with another's flood. Not chosen: a weight for each worker.
Several small ones that sleep and wake keep the kernel's fair clock back, and the agent's writer waited up to 100 ms for them.
p99 of a second function beside 3,000 events a second, two cores, journal in memory: 12 to 38 ms with one weight for all
workers, 61 to 103 ms with one for each, 3 to 4 ms with this (`tests/bench/fairness.py`).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Mapping

from edge_agent.adapters.run_process.files import count, remove, write

WHOLE = 1000
"""The agent's weight, and that of a function that uses little."""
SHARE = 0.1
"""Of it, all together that use much: however many are flooded, they must not keep the agent from serving another. Four
flooded workers as heavy as the agent kept its threads waiting up to 20 ms (the same benchmark)."""
LITTLE = 0.1
"""Cores, since the last look. A function that has just begun counts as one that uses much until then."""
MEMORY = 10.0
"""Seconds that use much is remembered: events come in bursts."""


class Branch:
    """The group of one function; those of its workers are below it."""

    def __init__(self, folders: Mapping[str, str], *, unified: bool) -> None:
        """`folders`: by controller; `unified`: version 2. Errors: `OSError`."""
        self.folders = folders
        self.groups = 0
        """Of workers, that are there."""
        self._places = tuple(dict.fromkeys(folders.values()))
        self._unified = unified
        self._used = self._weight = 0
        self.busy = 0.0
        """Until then it counts as one that uses much (monotonic seconds)."""
        for place in self._places:
            os.mkdir(place)
        if unified:
            write(f"{self._places[0]}/cgroup.subtree_control", " ".join(f"+{controller}" for controller in folders))
        self._clock = self._open()
        self.weigh(int(WHOLE * SHARE))

    def _open(self) -> int:
        """What says how much of the processor is used; -1 where the kernel does not."""
        file = "cpu/cpu.stat" if self._unified else "cpuacct/cpuacct.usage"
        controller, name = file.split("/")
        with contextlib.suppress(KeyError, FileNotFoundError):
            return os.open(f"{self.folders[controller]}/{name}", os.O_RDONLY)
        return -1

    def used(self) -> float:
        """Cores times seconds since the last time it was asked; no end of them where the kernel does not count."""
        if self._clock < 0:
            return float("inf")
        text = os.pread(self._clock, 4096, 0)
        before, self._used = self._used, count(text, b"usage_usec") * 1000 if self._unified else int(text)
        return (self._used - before) / 1e9

    def weigh(self, weight: int) -> None:
        """Of `WHOLE`."""
        if weight != self._weight and "cpu" in self.folders:
            self._weight = weight
            weigh(self.folders["cpu"], weight, unified=self._unified)

    def remove(self) -> None:
        if self._clock >= 0:
            os.close(self._clock)
        for place in self._places:
            remove(place)


class Precedence:
    """Lives where the groups are made."""

    def __init__(self) -> None:
        self._looked = time.monotonic()

    def look(self, branches: Collection[Branch]) -> None:
        """Weigh them anew."""
        now = time.monotonic()
        little = LITTLE * (now - self._looked)
        self._looked = now
        for branch in branches:
            if branch.used() > little:
                branch.busy = now + MEMORY
        small = int(WHOLE * SHARE / max(1, sum(branch.busy > now for branch in branches)))
        for branch in branches:
            branch.weigh(small if branch.busy > now else WHOLE)


def weigh(folder: str, weight: int, *, unified: bool) -> None:
    """`weight` of `WHOLE`, in the kernel's numbers."""
    name, whole = ("cpu.weight", 1000) if unified else ("cpu.shares", 1024)
    write(f"{folder}/{name}", str(max(2, weight * whole // WHOLE)), needed=False)
