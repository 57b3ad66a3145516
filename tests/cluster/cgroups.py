"""Control groups of our own, on a host with version 1, 2 or both: one per cluster, one in it per machine.

The host's layout and its groups are left alone. A machine gets a cgroup namespace, so that its own group is its root.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PERIOD = 100_000  # µs, the kernel's own default
WANTED = ("cpu", "cpuset", "io", "memory", "pids")


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted tree. `options` are mount's: `cpu`, `none,name=systemd`; empty for version 2."""

    mount: Path
    options: str

    @property
    def unified(self) -> bool:
        return not self.options


def hierarchies(mountinfo: str | None = None) -> list[Hierarchy]:
    """What the host has; version 2 only where it rules alone. Source: proc_pid_mountinfo(5)."""
    text = Path("/proc/self/mountinfo").read_text() if mountinfo is None else mountinfo
    old, new = {}, {}
    for line in text.splitlines():
        front, _, back = line.partition(" - ")
        kind, _, options = back.split(" ", 2)
        where = Path(front.split()[4])
        if kind == "cgroup":
            words = [word for word in options.split(",") if word not in ("rw", "ro", "xattr") and "=/" not in word]
            named = any(word.startswith("name=") for word in words)
            old[where] = Hierarchy(where, ",".join(["none", *words] if named else words))
        elif kind == "cgroup2":
            new[where] = Hierarchy(where, "")
    return list(old.values()) if old else list(new.values())[:1]


class Group:
    """The groups of one machine, one in each tree, at `/edge-cluster-<cluster>/<machine>`."""

    def __init__(self, cluster: str, machine: str) -> None:
        self.trees = hierarchies()
        self.path = Path(f"edge-cluster-{cluster}") / machine

    def folders(self) -> list[Path]:
        return [tree.mount / self.path for tree in self.trees]

    def make(self) -> None:
        for tree in self.trees:
            folder = tree.mount
            for part in self.path.parts:
                if tree.unified:
                    delegate(folder)
                folder /= part
                folder.mkdir(exist_ok=True)
                if "cpuset" in tree.options.split(","):
                    for file in ("cpuset.cpus", "cpuset.mems"):
                        (folder / file).write_text((folder.parent / file).read_text())

    def settle(self) -> None:
        """Version 2 allows processes in leaves only: move what is in the machine's root group into a leaf."""
        for tree in self.trees:
            if tree.unified:
                leaf = tree.mount / self.path / "init"
                leaf.mkdir(exist_ok=True)
                for pid in (leaf.parent / "cgroup.procs").read_text().split():
                    (leaf / "cgroup.procs").write_text(pid)
                delegate(leaf.parent)

    def doors(self, settled: bool) -> list[str]:
        """The files a process writes its id to, to enter."""
        leaf = {tree: "init" if tree.unified and settled else "." for tree in self.trees}
        return [str(tree.mount / self.path / leaf[tree] / "cgroup.procs") for tree in self.trees]

    def limit_cpu(self, cpus: float | None) -> None:
        """CPU time per time for everything in the group; None: as much as there is."""
        for tree in self.trees:
            folder = tree.mount / self.path
            if tree.unified:
                quota = "max" if cpus is None else str(int(cpus * PERIOD))
                (folder / "cpu.max").write_text(f"{quota} {PERIOD}")
            elif "cpu" in tree.options.split(","):
                (folder / "cpu.cfs_period_us").write_text(str(PERIOD))
                (folder / "cpu.cfs_quota_us").write_text("-1" if cpus is None else str(int(cpus * PERIOD)))

    def processes(self) -> set[int]:
        """Ids of everything that runs in it, as the host counts."""
        root = self.folders()[0]
        found: set[int] = set()
        for folder, _, _ in os.walk(root):
            try:
                found.update(map(int, (Path(folder) / "cgroup.procs").read_text().split()))
            except OSError:
                continue  # removed while we walked
        return found

    def kill(self) -> None:
        """SIGKILL to all that runs in it: also what is stopped, such as the nsenter of a frozen program, ends by that."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def below(self) -> Iterator[Path]:
        """Every group in it, in every tree, the deepest first."""
        for root in self.folders():
            for folder, _, _ in os.walk(root, topdown=False):
                yield Path(folder)


def delegate(folder: Path) -> None:
    """Hand on the controllers there are (version 2)."""
    have = (folder / "cgroup.controllers").read_text().split()
    for controller in WANTED:
        if controller in have:
            (folder / "cgroup.subtree_control").write_text(f"+{controller}")


def remove(cluster: str, patience: float = 10.0) -> None:
    """Remove all groups of a cluster. The kernel lets go of a group a moment after its last process: hence `patience`, s."""
    end = time.monotonic() + patience
    for tree in hierarchies():
        root = tree.mount / f"edge-cluster-{cluster}"
        while root.exists():
            for folder, _, _ in os.walk(root, topdown=False):
                try:
                    Path(folder).rmdir()
                except FileNotFoundError:
                    continue
                except OSError:
                    if time.monotonic() > end:
                        raise
            if root.exists():
                time.sleep(0.05)
