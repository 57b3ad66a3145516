"""Processes that got away from the one who started them, found in /proc (proc(5)).

Two ways lead to them: the mark in their environment, which everything a worker starts inherits; and their parent, for
who loses its parent becomes a child of the keeper (PR_SET_CHILD_SUBREAPER, prctl(2)), even with its environment cleared.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterable, Iterator

MARK = "EDGE_WORKER"
PR_SET_CHILD_SUBREAPER = 36
NEAR = 400
"""Process ids given out since somebody started, up to which each is asked for instead of reading the whole of /proc."""


def adopt() -> None:
    """From now on the caller is the parent of every descendant that loses its own (Linux 3.4)."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def marked(mark: str) -> Iterator[int]:
    """Every process with `mark` or one that begins with it."""
    return (pid for pid in everybody() if mark_of(pid).startswith(mark))


def mark_of(pid: int) -> str:
    """The mark it carries; nothing when it has none, is gone, or is another user's."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
        content = b"\0" + file.read()
        start = content.find(b"\0" + MARK.encode() + b"=")
        if start >= 0:
            return content[start + len(MARK) + 2 :].partition(b"\0")[0].decode("utf-8", "replace")
    return ""


def children(parent: int, since: int = 0) -> Iterator[int]:
    """The children of `parent`; with `since`, those that are younger than the process of that id."""
    return (pid for pid in _younger(since) if parent_of(pid) == parent)


def families(roots: Iterable[int]) -> dict[int, list[int]]:
    """{root: itself and all its descendants}."""
    below: dict[int, list[int]] = {}
    for pid in everybody():
        below.setdefault(parent_of(pid), []).append(pid)
    found = {}
    for root in roots:
        family = [root]
        for member in family:
            family += below.get(member, ())
        found[root] = family
    return found


def parent_of(pid: int) -> int:
    """0 when there is no such process, or it has ended and nobody has heard of it yet (a zombie)."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
        state, parent = file.read().rpartition(b")")[2].split()[:2]
        return 0 if state == b"Z" else int(parent)
    return 0


def everybody() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _younger(since: int) -> Iterable[int]:
    with open("/proc/loadavg", "rb") as file:
        last = int(file.read().split()[-1])
    return range(since + 1, last + 1) if 0 < since <= last < since + NEAR else everybody()
