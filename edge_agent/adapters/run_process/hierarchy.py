"""Where control groups may be made: found in the kernel's own account of its trees.

Enters: the caller's place in them (/proc/self/cgroup) and where they are mounted (/proc/self/mountinfo, proc(5)).
Leaves: `Groups` for workers, or None and in one sentence why.
Guarantee: groups are made below the agent's own group only, so that every limit set on the agent holds for its workers
too. Nobody else's group is changed and nobody else's process moved; what an earlier life left is removed first.
Version 2 is taken where it is delegated (systemd: `Delegate=yes`), else version 1 where the agent may write there (root).
"""

from __future__ import annotations

import contextlib
import os

from edge_agent.adapters.run_process.cgroups import CONTROLLERS, Groups, members, sweep
from edge_agent.adapters.run_process.files import write

LEAF = "agent"
"""Version 2: a group whose children have controllers may hold no process itself, so the agent moves in here."""
ALONE = "systemd-run --user --scope -p Delegate=yes gives it one of its own"


def find(name: str, agent: int) -> tuple[Groups | None, str]:
    """Groups for the workers of `agent` (process id; the caller is its child), called `name` and their function's."""
    own = {(parts := line.split(":", 2))[1]: parts[2] for line in _lines("/proc/self/cgroup")}
    mounts = _mounts()
    why = "no control groups are mounted"
    if base := _below(mounts.get("cgroup2"), own.get("")):
        try:
            return _version_2(base, name, {agent, os.getpid()}), ""
        except OSError as error:
            why = f"{base}: {error.strerror or error}"
    roots, homes = {}, {}
    for names, path in own.items():
        for controller in {*names.split(",")} & {*CONTROLLERS}:
            if base := _below(mounts.get(controller), path):
                root = f"{base}/{name}"
                try:
                    sweep(root)
                    os.mkdir(root)
                except OSError as error:
                    why = f"{base}: {error.strerror}"
                else:
                    roots[controller], homes[controller] = root, base
    return (Groups(roots, homes, unified=False), "") if roots else (None, why)


def _version_2(base: str, name: str, ours: set[int]) -> Groups:
    """When the group `base` is ours alone. Errors: `OSError` with the reason."""
    if os.path.basename(base) == LEAF and not members(os.path.dirname(base)):
        base = os.path.dirname(base)  # an earlier life moved in there
    if not _words(f"{base}/cgroup.controllers") & {*CONTROLLERS}:
        raise OSError("it has no controllers")
    if not os.path.exists(f"{base}/cgroup.type"):
        raise OSError("it is the root of all groups")
    if strangers := members(base) - ours:
        raise OSError(f"process {min(strangers)} shares the agent's group; {ALONE}")
    if not os.access(base, os.W_OK):
        raise OSError("it is not delegated to this user; a service gets that with Delegate=yes")
    root, leaf = f"{base}/{name}", f"{base}/{LEAF}"
    sweep(root)
    with contextlib.suppress(FileExistsError):
        os.mkdir(leaf)
    for pid in ours:
        write(f"{leaf}/cgroup.procs", str(pid))
    given = _hand_down(base)
    if not given:
        raise OSError("no controller could be switched on")
    os.mkdir(root)
    return Groups(dict.fromkeys(given, root), dict.fromkeys(given, leaf), unified=True)


def _hand_down(folder: str) -> set[str]:
    """Switch on for the children of `folder` what it has itself; which."""
    given = set()
    for controller in _words(f"{folder}/cgroup.controllers") & {*CONTROLLERS}:
        with contextlib.suppress(OSError):
            write(f"{folder}/cgroup.subtree_control", f"+{controller}")
            given.add(controller)
    return given


def _mounts() -> dict[str, tuple[str, str]]:
    """{`cgroup2` or a controller of version 1: (what of its tree is mounted, where)}."""
    found: dict[str, tuple[str, str]] = {}
    for line in _lines("/proc/self/mountinfo"):
        fields, _, more = line.partition(" - ")
        kind, _, options = more.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            root, place = fields.split(" ")[3:5]
            for name in ["cgroup2"] if kind == "cgroup2" else options.split(","):
                found.setdefault(name, (root.rstrip("/"), place))
    return found


def _below(mount: tuple[str, str] | None, path: str | None) -> str:
    """Where the group `path` is in the file system; nothing when it is not there."""
    if mount is None or path is None:
        return ""
    root, place = mount
    folder = place + path.removeprefix(root).rstrip("/")
    return folder if os.path.isdir(folder) else ""


def _lines(file: str) -> list[str]:
    with open(file, encoding="utf-8", errors="surrogateescape") as lines:
        return lines.read().splitlines()


def _words(file: str) -> set[str]:
    return {word for line in _lines(file) for word in line.split()}
