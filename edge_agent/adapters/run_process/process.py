"""One process of a worker: how it begins, in a session, a group and a folder of its own, with nothing of the agent's.

posix_spawn(3) shares the caller's memory with the new process until its program is loaded, instead of copying it. What it
cannot be told (working folder, user), the caller, which must have one thread, puts on itself for that moment; what can be
set from outside, is set right after.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
from typing import Any, TypedDict

FILES = 1024
"""File descriptors a worker may have open, as it would find it in a shell."""
NICE = 5
"""Where no control group shares out the processor, workers stand behind the agent. The kernel is told twice, for where it
groups processes by session (sched(7), autogroup) the nice value counts within a session alone."""
QUICKLY = 100
"""Entries of a folder that are removed at once; more are left to a process of its own."""
_OWN = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals which the keeper ignores; a program expects the kernel's own ways."""


class Order(TypedDict):
    """What to start, in plain values, for it crosses a socket. `secrets`: (name, path of the file or folder)."""

    function: str
    program: str
    words: list[str]
    variables: dict[str, str]
    source: str
    secrets: list[tuple[str, str]]
    memory: int
    cpu: float
    keep: bool
    """The place stays when the process ends: another one will come."""


class Owner:
    """Who workers run as. `ids` (uid, gid): None for the agent's own user."""

    def __init__(self, ids: tuple[int, int] | None, *, nice: bool) -> None:
        self.other = ids is not None
        self._ids = ids
        self._nice = nice

    def own(self, *paths: str) -> None:
        if self._ids is not None:
            for path in paths:
                os.chown(path, *self._ids)

    def furnish(self, folder: str, secrets: list[tuple[str, str]]) -> None:
        """Make the worker's folder, and in it `secrets` with a link to each that it may read.

        Links, so that a secret that changes is read anew without a restart. Errors: `OSError`.
        """
        os.mkdir(folder, 0o700)
        self.own(folder)
        if secrets:
            os.mkdir(f"{folder}/secrets", 0o700)
            self.own(f"{folder}/secrets")
            for name, target in secrets:
                os.symlink(target, f"{folder}/secrets/{name}")

    def begin(self, order: Order, output: int, nothing: int) -> int:
        """Start it; its process id. Errors: `OSError`, also when there is no such program."""
        os.chdir(order["source"])
        try:
            self._put_on()
            pid = os.posix_spawn(
                order["program"],
                order["words"],
                order["variables"],
                file_actions=[(os.POSIX_SPAWN_DUP2, fd, to) for fd, to in ((nothing, 0), (output, 1), (output, 2))],
                setsid=True,
                setsigmask=(),
                setsigdef=_OWN,
            )
        finally:
            self._take_off()
            os.chdir("/")
        with contextlib.suppress(ProcessLookupError, PermissionError):  # another user's, without CAP_SYS_RESOURCE
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (FILES, FILES))
        if self._nice:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.setpriority(os.PRIO_PROCESS, pid, NICE)
            with contextlib.suppress(OSError), open(f"/proc/{pid}/autogroup", "w") as group:
                group.write(str(NICE))
        return pid

    def _put_on(self) -> None:
        """Be the workers' user. What is executed so cannot come back: it forgets the saved user (execve(2))."""
        if self._ids is not None:
            uid, gid = self._ids
            os.setgroups([])
            os.setresgid(gid, gid, 0)
            os.setresuid(uid, uid, 0)

    def _take_off(self) -> None:
        if self._ids is not None:
            with contextlib.suppress(PermissionError):  # never was root: then nothing was put on either
                os.setresuid(0, 0, 0)
                os.setresgid(0, 0, 0)


def clear(folder: str) -> int:
    """Remove `folder`; a large one in a process of its own, whose id is returned (else 0). It is gone from its place then."""
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        return 0
    except OSError:
        if _entries(folder) <= QUICKLY:
            _remove(folder)
            return 0
        aside = f"{folder}.{os.urandom(4).hex()}.gone"
        os.rename(folder, aside)
        if pid := os.fork():
            return pid
        with contextlib.suppress(BaseException):
            _remove(aside)
        os._exit(0)
    return 0


def _remove(folder: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if os.path.isdir(folder):  # a worker may have shut folders of its own
        for at, folders, _ in os.walk(folder):
            for path in (f"{at}/{name}" for name in folders):
                if not os.path.islink(path):
                    with contextlib.suppress(OSError):
                        os.chmod(path, 0o700)
        shutil.rmtree(folder, ignore_errors=True)


def _entries(folder: str) -> int:
    """How many there are, counted until there are too many."""
    count, folders = 0, [folder]
    while folders and count <= QUICKLY:
        with contextlib.suppress(PermissionError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                count += 1
                if count > QUICKLY:
                    break
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
    return count


def status(code: int) -> str:
    """How a process ended (`os.waitstatus_to_exitcode`); completes "its worker ..."."""
    if code >= 0:
        return f"exited with code {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


Message = tuple[Any, ...]
"""Between agent and keeper, by `marshal`: ("start", id, Order) with a file descriptor, ("kill" | "end" | "again" | "drop", id);
back: ("hello", what limits workers), ("begun", id, process id),
("ended", id, exit code, why: `Place.why`)."""
