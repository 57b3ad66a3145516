"""Control groups: what holds a worker to its memory, processor and processes, and holds together all that it started.

Enters: folders of our own in the kernel's trees (`hierarchy.find`). Leaves: one `Group` per worker, below its function's.
Guarantee: everything a worker starts stays in its group, whatever it does; a kill reaches all of it.
One class serves both layouts: version 2 has one folder for all controllers, version 1 one folder in each one's tree.
Not chosen: a group made for each worker. A removed group lives on in the kernel until the last page of a file it read is
let go; so groups are used again, by later workers with the same limits.
Sources: Linux admin-guide/cgroup-v2.rst and admin-guide/cgroup-v1/.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from edge_agent.adapters.run_process.files import count, remove, write
from edge_agent.adapters.run_process.precedence import SHARE, WHOLE, Branch, Precedence, weigh

CONTROLLERS = ("memory", "cpu", "cpuacct", "pids")
"""Of version 1; in version 2 `cpu` counts too."""
PERIOD = 1_000_000
"""Microseconds over which processor time is counted: a worker that may use a quarter of a core on average begins with a
quarter of a second at full speed, where the kernel's default of 0.1 s would stop it after 25 ms."""
SPARE = 16
"""Groups kept for later workers."""
ROUNDS = 100
"""In which a process that forks as fast as it can is followed at its start."""


class Limits(NamedTuple):
    """Bytes; cores; processes and threads."""

    memory: int
    cpu: float
    pids: int


class Group:
    """The group of one worker at a time. The one who makes it and the one who asks are the same thread."""

    def __init__(self, function: str, folders: Mapping[str, str], limits: Limits, *, unified: bool) -> None:
        """`folders`: by controller; `unified`: version 2. Errors: `OSError`."""
        self.function = function
        self.limits = limits
        self._folders = folders
        self._places = tuple(dict.fromkeys(folders.values()))
        self._unified = unified
        for place in self._places:
            os.mkdir(place)
        for controller in folders:
            self._set(controller)
        self._counters = [
            (what, word, os.open(f"{folders[what]}/{name}", os.O_RDONLY))
            for what, word, name in _counters(unified=unified)
            if what in folders
        ]
        self._before = self._counts()
        self._shut = False

    def _set(self, controller: str) -> None:
        for name, value, needed in _settings(controller, self.limits, unified=self._unified):
            write(f"{self._folders[controller]}/{name}", value, needed=needed)

    def members(self) -> set[int]:
        """The process ids of who is in it."""
        return members(self._places[-1])

    def take(self, pid: int, entrances: Sequence[str]) -> None:
        """Move the new process in, and what it may have started by now: whoever but us is in one of `entrances`."""
        me = os.getpid()
        for place, entrance in zip(self._places, entrances, strict=True):
            coming = {pid}
            for _ in range(ROUNDS):
                for one in coming:
                    with contextlib.suppress(ProcessLookupError):
                        write(f"{place}/cgroup.procs", str(one))
                coming = members(entrance) - {me}
                if not coming:
                    break
            else:
                kill(coming)

    def kill(self) -> None:
        """Send everybody in it a SIGKILL; nobody gets away by forking."""
        if self._unified:
            with contextlib.suppress(OSError):
                write(f"{self._places[0]}/cgroup.kill", "1")  # Linux 5.14
                return
        if "pids" in self._folders:
            write(f"{self._folders['pids']}/pids.max", "0")
            self._shut = True
        kill(self.members())

    def exceeded(self) -> str:
        """`memory` or `pids` when somebody in it wanted more than there is since the last time it was asked, else nothing."""
        before, self._before = self._before, self._counts()
        if self._before == before:
            return ""
        pairs = zip(self._counters, before, self._before, strict=True)
        return next((what for (what, _, _), then, now in pairs if now > then), "")

    def again(self, *, rested: bool = False) -> None:
        """For the next process; `rested`: the processor time used so far does not count."""
        if self._shut:
            self._set("pids")
            self._shut = False
        if rested and "cpu" in self._folders:
            self._set("cpu")

    def remove(self) -> None:
        for _, _, fd in self._counters:
            os.close(fd)
        for place in self._places:
            remove(place)

    def _counts(self) -> list[int]:
        """How often there was no more, of each in `_counters`."""
        return [count(os.pread(fd, 4096, 0), word) for _, word, fd in self._counters]


class Groups:
    """Lends groups below `root` and a function's name, beside the agent: a folder by controller. The caller moves into
    `root`: what it starts begins there, and is moved on before anybody else is started."""

    def __init__(self, roots: Mapping[str, str], homes: Mapping[str, str], *, unified: bool) -> None:
        """`homes`: where the caller goes back to in the end, by controller. Errors: `OSError`."""
        self.controllers = frozenset(roots)
        self.version = 2 if unified else 1
        self._roots = roots
        self._homes = homes
        self._numbers = 0
        self._branches: dict[str, Branch] = {}
        self._spare: list[Group] = []
        self._precedence = Precedence()
        self._entrances = tuple(dict.fromkeys(roots.values()))
        for entrance in self._entrances:
            write(f"{entrance}/cgroup.procs", "0")
        if "cpu" in roots:
            weigh(roots["cpu"], int(WHOLE * SHARE), unified=unified)
            if unified:  # version 1: home is where everybody is
                weigh(homes["cpu"], WHOLE, unified=unified)

    def weigh(self) -> None:
        """By what each function has used since the last time."""
        self._precedence.look(self._branches.values())

    def admit(self, pid: int, group: Group) -> None:
        """Move in a process that the caller has just started."""
        group.take(pid, self._entrances)

    def lend(self, function: str, limits: Limits) -> Group:
        """An empty group with these limits. Errors: `OSError`."""
        for group in self._spare:
            if group.function == function and group.limits == limits:
                self._spare.remove(group)
                group.again(rested=True)
                return group
        unified = self.version == 2
        branch = self._branches.get(function)
        if branch is None:
            folders = {controller: f"{root}-{function}" for controller, root in self._roots.items()}
            branch = self._branches[function] = Branch(folders, unified=unified)
        self._numbers += 1
        folders = {controller: f"{folder}/{self._numbers}" for controller, folder in branch.folders.items()}
        group = Group(function, folders, limits, unified=unified)
        branch.groups += 1
        return group

    def give_back(self, group: Group) -> None:
        """It must be empty."""
        self._spare.append(group)
        if len(self._spare) > SPARE:
            oldest = self._spare.pop(0)
            oldest.remove()
            branch = self._branches[oldest.function]
            branch.groups -= 1
            if not branch.groups:
                self._branches.pop(oldest.function).remove()

    def close(self) -> None:
        """Kill who is left in any of them, and remove them all."""
        for home in self._homes.values():
            write(f"{home}/cgroup.procs", "0")
        for root in set(self._roots.values()):
            sweep(root)


def sweep(root: str) -> None:
    """Kill everybody in `root` and the groups called `root` and a function, all ours, and remove them."""
    base, name = os.path.split(root)
    ours = [entry.path for entry in os.scandir(base) if entry.name == name or entry.name.startswith(f"{name}-")]
    places = [at for one in ours for at, _, _ in os.walk(one, topdown=False)]
    for place in places:
        kill(members(place))
    for place in places:
        remove(place)


def members(folder: str) -> set[int]:
    """Who is in the group `folder`; the first several hundred, where there are more. Errors: `OSError`."""
    fd = os.open(f"{folder}/cgroup.procs", os.O_RDONLY)
    try:
        return {*map(int, os.read(fd, 65536).split())}
    finally:
        os.close(fd)


def kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _settings(controller: str, limits: Limits, *, unified: bool) -> Iterable[tuple[str, str, bool]]:
    """(file, value, is it needed)."""
    memory, quota, pids = str(limits.memory), str(max(1000, int(limits.cpu * PERIOD))), str(limits.pids)
    if controller == "pids":
        return [("pids.max", pids, True)]
    if controller == "cpu":
        if unified:
            return [("cpu.max", f"{quota} {PERIOD}", True)]
        return [("cpu.cfs_period_us", str(PERIOD), True), ("cpu.cfs_quota_us", quota, True)]
    if controller == "cpuacct":
        return []
    if unified:
        return [("memory.max", memory, True), ("memory.swap.max", "0", False), ("memory.oom.group", "1", False)]
    return [("memory.limit_in_bytes", memory, True), ("memory.memsw.limit_in_bytes", memory, False)]


def _counters(*, unified: bool) -> Iterable[tuple[str, bytes, str]]:
    """(controller, the line, the file) where the kernel counts how often there was no more."""
    yield "memory", b"oom_kill", "memory.events" if unified else "memory.oom_control"
    yield "pids", b"max", "pids.events"
