"""Who comes to a worker's own door? A process of the workers' user, and of this worker's processes.

Unmodified clients send no credential, so the kernel is asked: whose socket is at the other end (`peers`), and is it one
that the worker, a process of its session or one it started holds (proc(5): /proc/PID/fd)? Once per connection.
Whoever answers an event shows its request id, which only the worker that got the event was told: for that, the right
user is enough, and a connection that its client has closed already need not be asked about any more.
Not a security boundary: processes of one user can trace each other. It keeps a worker that errs, or that looks around,
from events that are not its own.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from edge_agent.runtime_api.peers import Address, Peers, Unknowable

log = logging.getLogger(__name__)


class Visitors:
    """Belongs to the loop's thread."""

    def __init__(self, uid: int) -> None:
        """`uid` is the workers' user."""
        self._uid = uid
        self._peers = Peers()
        self._pids: dict[str, int] = {}
        self._warned = False

    def expect(self, worker_id: str, pid: int) -> None:
        """The worker is this process from now on, and what it starts."""
        self._pids[worker_id] = pid

    def forget(self, worker_id: str) -> None:
        self._pids.pop(worker_id, None)

    def admits(self, worker_id: str, client: Address, server: Address, *, answers: bool) -> bool:
        """May who connected from `client` speak as this worker? `answers`: it only tells how an event ended."""
        try:
            owner = self._peers.owner(client, server)
        except Unknowable as problem:
            if not self._warned:
                self._warned = True
                log.warning("who asks for events is not checked on this machine: %s", problem)
            return True
        if owner is None:
            return answers
        if owner.uid != self._uid:
            return False
        pid = 0 if answers else self._pids.get(worker_id, 0)
        return not pid or holds(pid, owner.inode)

    def close(self) -> None:
        self._peers.close()


def holds(pid: int, inode: int) -> bool:
    """Does process `pid`, one of its session, or one it started hold this socket? True too where we may not look."""
    wanted = f"socket:[{inode}]"
    forbidden = False
    for candidate in _family(pid):
        try:
            with os.scandir(f"/proc/{candidate}/fd") as files:
                if any(_names(file, wanted) for file in files):
                    return True
        except PermissionError:  # it runs with more rights than we have
            forbidden = True
        except OSError:  # it has ended
            continue
    return forbidden


def _names(file: os.DirEntry[str], wanted: str) -> bool:
    try:
        return os.readlink(file.path) == wanted  # noqa: PTH115 - a Path costs as much as the call
    except OSError:
        return False


def _family(pid: int) -> Iterator[int]:
    """The process, its descendants, then all of its session: the likeliest first, for looking costs."""
    seen, found = {pid}, [pid]
    while found:
        yield (one := found.pop())
        for child in _children(one):
            if child not in seen:
                seen.add(child)
                found.append(child)
    for entry in os.listdir("/proc"):  # noqa: PTH208
        if entry.isdigit() and int(entry) not in seen:
            try:
                if os.getsid(int(entry)) == pid:
                    yield int(entry)
            except OSError:
                continue


def _children(pid: int) -> list[int]:
    children: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            children += map(int, Path(f"/proc/{pid}/task/{task}/children").read_bytes().split())
    except OSError:  # it has ended, or the kernel was built without (CONFIG_PROC_CHILDREN)
        pass
    return children
