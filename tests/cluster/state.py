"""What is on disk of each cluster, so that the next start cleans up after a run that was killed.

`/var/tmp/edge-cluster/<name>/` belongs to the process in its `owner.json`; when that process is gone, so is the cluster
(machine.py), and what is left (namespaces' names, bridge, empty control groups, this folder) is removed by whoever comes next.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.cluster import cgroups, network, ranges
from tests.cluster.needs import CannotRun

ROOT = Path("/var/tmp/edge-cluster")
"""A real file system, and short paths (a Unix socket's has 107 bytes); 0700."""
NAME = re.compile(r"[a-z][a-z0-9]{0,9}")


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """One at a time in this machine: choosing and cleaning."""
    ROOT.mkdir(mode=0o700, exist_ok=True)
    with (ROOT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def claim(name: str) -> tuple[Path, ranges.Ranges]:
    """Clean up what dead owners left, then take `name`, its folder and free address ranges.

    Raises CannotRun when a living process has a cluster of that name.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"a cluster's name is 1 to 10 lower-case letters and digits, not {name!r}")
    with locked():
        taken = set()
        for folder in sorted(path for path in ROOT.iterdir() if path.is_dir()):
            owner = read_owner(folder)
            if not alive(owner):
                sweep(folder.name, owner.get("slot"))
            elif folder.name == name:
                raise CannotRun(
                    f"a cluster named {name!r} runs already, in process {owner['pid']}: choose another name"
                )
            else:
                taken.add(owner["slot"])
        chosen = ranges.choose(taken)
        folder = ROOT / name
        folder.mkdir(mode=0o700)
        owner = {"pid": os.getpid(), "started": started(os.getpid()), "slot": chosen.slot}
        (folder / "owner.json").write_text(json.dumps(owner))
        return folder, chosen


def release(name: str, slot: int) -> None:
    """Remove everything of a cluster whose machines are off."""
    with locked():
        sweep(name, slot)


def sweep(name: str, slot: int | None) -> None:
    """Remove what there is of the network, the control groups and the folder of a cluster that does not run any more."""
    end = time.monotonic() + 20
    while cgroup_processes(name):  # its process 1 ends a moment after its owner was killed
        if time.monotonic() > end:
            raise RuntimeError(f"processes of the cluster {name!r} do not end: {cgroup_processes(name)}")
        cgroups.Group(name, ".").kill()
        time.sleep(0.05)
    if slot is not None:
        network.Wires(prefix(name), ranges.Ranges(slot), 0).remove()
    cgroups.remove(name)
    for mount in mounts_below(ROOT / name):
        subprocess.run(["umount", "--lazy", mount], check=False)
    shutil.rmtree(ROOT / name, ignore_errors=True)


def prefix(name: str) -> str:
    """How the names of a cluster's network namespaces begin; the number of the node follows."""
    return f"ec-{name}-"


def cgroup_processes(name: str) -> set[int]:
    return cgroups.Group(name, ".").processes()


def mounts_below(folder: Path) -> list[str]:
    """Mount points in a folder, the innermost first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((point for point in points if point.startswith(f"{folder}/")), reverse=True)


def read_owner(folder: Path) -> dict[str, int]:
    try:
        return dict(json.loads((folder / "owner.json").read_text()))
    except (OSError, ValueError):  # killed between making the folder and writing
        return {}


def alive(owner: dict[str, int]) -> bool:
    """Whether the process lives that took the folder, and not another one that got its number since."""
    return bool(owner) and started(owner["pid"]) == owner["started"]


def started(pid: int) -> int:
    """When a process started, in clock ticks since boot (proc_pid_stat(5), field 22); 0: there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])
