"""Workers as processes of this machine: each its own session, folder, port and pipe for what it prints.

Enters: start and kill from the engine. Leaves: `exited` with the reason and the tail of its output.
Guarantee: a kill ends the worker's whole process group at once; what left the group is found by its mark soon after;
when the agent itself is killed, its workers end with it. All on the loop's thread: no locks.
Not a security boundary: workers run as the agent's user, or as `run_as`, and see the same machine.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets as random
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from edge_agent.adapters.run_process import environment, strays
from edge_agent.domain.function import FunctionSpec
from edge_agent.engine.functions.loop import Loop
from edge_agent.errors import Unavailable
from edge_agent.ports import WorkerEvents

__all__ = ["Doors", "ProcessRunner"]

log = logging.getLogger(__name__)
output = logging.getLogger("edge_agent.functions")
"""What workers print, at DEBUG."""

TAIL = 4096
"""Bytes of output that are kept of each worker."""
GULP = 16 * 1024
BREATH = 0.01
"""Bytes read at once, and the pause in seconds after a full gulp: at most 1.6 MB/s of output cost us anything."""
PATIENCE = 5.0
"""Seconds between two looks for strays while workers end; the first is at once."""


class Doors(Protocol):
    """Where workers ask: `runtime_api.server.RuntimeServer`."""

    def open(self, worker_id: str) -> str:
        """host:port, listening now. Errors: `Unavailable`."""

    def close(self, worker_id: str) -> None: ...


@dataclass(slots=True)
class _Process:
    popen: subprocess.Popen[bytes]
    pidfd: int
    pipe: int
    folder: Path
    function: str
    printed: bytearray
    killed: bool = False


class ProcessRunner:
    """`ports.Runner`. `folder` is emptied at start and removed at the end; `secrets` holds one folder or file per secret."""

    def __init__(
        self,
        loop: Loop,
        doors: Doors,
        events: WorkerEvents,
        folder: Path,
        *,
        secrets: Path | None = None,
        run_as: tuple[int, int] | None = None,
    ) -> None:
        """`run_as` (uid, gid) needs root; give `RuntimeServer` the same uid."""
        self._loop = loop
        self._doors = doors
        self._events = events
        self._secrets = secrets
        self._run_as = run_as
        self._mark = random.token_hex(8)
        self._folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700 if run_as is None else 0o711, parents=True)
        self._nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._processes: dict[str, _Process] = {}
        self._swept = 0.0
        self._closed = False
        self._floods: list[str] = []
        self._listen = loop.alarm(self._listen_again)
        self._sweep = loop.alarm(self._look_for_strays)
        self._will = strays.LastWill(self._mark, folder)

    def start(self, worker_id: str, function: FunctionSpec) -> None:
        if self._closed:
            raise Unavailable("the agent is stopping")
        environment.check(function)
        folder = self._folder / worker_id
        address = self._doors.open(worker_id)
        try:
            environment.furnish(function, folder, self._secrets)
            self._processes[worker_id] = self._spawn(function, folder, address)
        except (OSError, subprocess.SubprocessError) as error:
            self._undo(worker_id, folder)
            raise Unavailable(f"function {function.name} cannot be started: {error}") from error
        except Unavailable:
            self._undo(worker_id, folder)
            raise
        process = self._processes[worker_id]
        self._loop.watch(process.pidfd, lambda _mask: self._ended(worker_id))
        self._loop.watch(process.pipe, partial(self._heard, worker_id))

    def _undo(self, worker_id: str, folder: Path) -> None:
        self._doors.close(worker_id)
        shutil.rmtree(folder, ignore_errors=True)

    def _spawn(self, function: FunctionSpec, folder: Path, address: str) -> _Process:
        variables = environment.variables(function, address, folder, f"{self._mark}/{folder.name}")
        uid, gid = self._run_as or (None, None)
        if uid is not None and gid is not None:
            for path in (folder, *folder.iterdir()):
                os.chown(path, uid, gid)
        read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            os.set_blocking(write, True)
            popen = subprocess.Popen(
                [*function.command, *function.args],
                stdin=self._nothing,
                stdout=write,
                stderr=write,
                cwd=function.source,
                env=variables,
                start_new_session=True,
                user=uid,
                group=gid,
                extra_groups=None if uid is None else [],
            )
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        return _Process(popen, os.pidfd_open(popen.pid), read, folder, function.name, bytearray())

    def kill(self, worker_id: str) -> None:
        if process := self._processes.get(worker_id):
            process.killed = True
            _kill_group(process.popen.pid)

    def log(self, worker_id: str) -> str:
        if worker_id not in self._processes:
            return ""
        self._read(worker_id)
        return _text(self._processes[worker_id].printed)

    def close(self, timeout: float = 5.0) -> None:
        if self._closed:
            return
        self._closed = True
        for process in self._processes.values():
            process.killed = True
            _kill_group(process.popen.pid)
        until = time.monotonic() + timeout
        for worker_id, process in list(self._processes.items()):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.popen.wait(max(0.0, until - time.monotonic()))
            self._ended(worker_id)
        self._will.execute()
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._nothing)

    def _heard(self, worker_id: str, _mask: int) -> None:
        """It printed. Who floods is not listened to for a moment, and so waits itself: its pipe is full."""
        if self._read(worker_id) == GULP:
            self._loop.unwatch(self._processes[worker_id].pipe)
            self._floods.append(worker_id)
            self._listen.no_later_than(time.monotonic() + BREATH)

    def _listen_again(self) -> None:
        floods, self._floods = self._floods, []
        for worker_id in floods:
            if process := self._processes.get(worker_id):
                self._loop.watch(process.pipe, partial(self._heard, worker_id))

    def _read(self, worker_id: str) -> int:
        """Take in what was printed; how many bytes."""
        process = self._processes[worker_id]
        try:
            data = os.read(process.pipe, GULP)
        except BlockingIOError:
            return 0
        if not data:
            self._loop.unwatch(process.pipe)
            return 0
        process.printed += data
        del process.printed[:-TAIL]
        if output.isEnabledFor(logging.DEBUG):
            output.debug("%s: %s", worker_id, data.decode("utf-8", "replace").rstrip())
        return len(data)

    def _ended(self, worker_id: str) -> None:
        """The worker itself is gone: so must be what it started, then its things."""
        process = self._processes[worker_id]
        _kill_group(process.popen.pid)  # before it is reaped: until then the number cannot be another's
        code = process.popen.poll()
        for _ in range(64):  # a pipe holds 64 KiB; somebody may still be writing into it
            if not self._read(worker_id):
                break
        tail = _text(process.printed)
        self._loop.unwatch(process.pidfd)
        self._loop.unwatch(process.pipe)
        os.close(process.pidfd)
        os.close(process.pipe)
        self._doors.close(worker_id)
        del self._processes[worker_id]
        _remove(process.folder)
        self._sweep.no_later_than(max(time.monotonic(), self._swept + PATIENCE))
        self._events.exited(worker_id, _reason(code, process.killed), tail)

    def _look_for_strays(self) -> None:
        if self._closed:
            return
        self._swept = time.monotonic()
        if not self._will.alive:
            self._will = strays.LastWill(self._mark, self._folder)
        killed = strays.kill_marked(self._mark, lambda rest: rest.lstrip("/") in self._processes)
        if killed:
            log.warning("%d processes outlived the worker that started them and were killed", killed)
            self._sweep.no_later_than(time.monotonic() + 0.1)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _reason(code: int | None, killed: bool) -> str:
    """Completes "its worker ..."."""
    if killed or code is None:
        return "was killed"
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"exited with code {code}"


def _text(printed: bytearray) -> str:
    return printed.decode("utf-8", "replace").strip()


def _remove(folder: Path) -> None:
    """At once when it is as empty as it was made; else beside the loop, for it may be large."""
    try:
        folder.rmdir()
    except OSError:
        threading.Thread(target=shutil.rmtree, args=(folder, True), name="remove-folder", daemon=True).start()
