"""Workers as processes of this machine: each its own session, folder, port and pipe for what it prints.

Enters: start, renew and kill from the engine. Leaves: `exited` with the reason and the tail of its output, `renewed`,
`printed`. Guarantee: when a worker has exited, everything it started has ended and its folder is gone; when the agent is
killed, its workers end with it. All on the loop's thread: no locks. The work itself is done by the keeper.
`isolation: process`: port, folder and group stay, the process is fresh for each event. The old one's last words are heard
and its connections closed before `renewed`, and only then the fresh one is started: no call is taken for another's.
A pod will do the same by its entry point, a loop of POSIX sh: a fresh TMPDIR, the command in a session of its own, wait,
kill who is left, tell the agent. To the engine it is the same: `next` is refused until `renewed`, so the old process
leaves by itself, and `renew` has nothing to do.
Not a security boundary: workers run as the agent's user, or as `run_as`, and see the same machine.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from edge_agent.adapters.run_process import environment
from edge_agent.adapters.run_process.launcher import Launcher
from edge_agent.adapters.run_process.output import Output
from edge_agent.adapters.run_process.process import Message, status
from edge_agent.adapters.run_process.watch import PROCESSES
from edge_agent.domain.function import FunctionSpec, MiB
from edge_agent.engine.functions.loop import Loop
from edge_agent.errors import Unavailable
from edge_agent.ports import WorkerEvents

log = logging.getLogger(__name__)
output = logging.getLogger("edge_agent.functions")
"""What workers print, at DEBUG."""

BREATH = 0.01
"""Seconds nobody listens to a worker whose pipe was full: at most 6.4 MB/s of output cost us anything."""


class Doors(Protocol):
    """Where workers ask: `runtime_api.server.RuntimeServer`."""

    def open(self, worker_id: str) -> str:
        """host:port, listening now. Errors: `Unavailable`."""

    def expect(self, worker_id: str, pid: int) -> None:
        """It is this process from now on, and what that starts."""

    def hang_up(self, worker_id: str) -> None:
        """Hear what was said last, and close its connections."""

    def close(self, worker_id: str) -> None: ...


class _Slot:
    """A worker, and the processes that are it one after the other."""

    __slots__ = ("function", "killed", "output", "renewing", "running")

    def __init__(self, function: FunctionSpec, out: Output) -> None:
        self.function = function
        self.output = out
        self.killed = self.renewing = False
        self.running = True


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
        groups: bool = True,
        surroundings: Mapping[str, str] | None = None,
    ) -> None:
        """`run_as` (uid, gid) needs root; give `RuntimeServer` the same uid. `groups`: use the system's control groups where
        it gives any. `surroundings`: variables every worker finds unless its manifest says otherwise."""
        self._loop = loop
        self._doors = doors
        self._events = events
        self._secrets = secrets.absolute() if secrets else None
        self._surroundings = surroundings or {}
        self._folder = folder.absolute()
        self._mark = self.mark_of(self._folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.limits = "not known yet"
        """What holds workers to their limits on this machine, for people."""
        self.left_out: Counter[str] = Counter()
        """Bytes of output that were not passed on, by function."""
        self._slots: dict[str, _Slot] = {}
        self._closed = False
        self._floods: list[str] = []
        self._listen = loop.alarm(self._listen_again)
        words = [str(self._folder), self._mark, "groups" if groups else "no-groups", *map(str, run_as or ())]
        self._launcher = Launcher(loop, words, self._told, self._lost)

    @staticmethod
    def mark_of(folder: Path) -> str:
        """What the processes and control groups of the runner with this folder carry, in this life and the next."""
        return hashlib.blake2b(str(folder.absolute()).encode(), digest_size=6).hexdigest()

    @property
    def keeper(self) -> int:
        """The process id of the one that starts workers now."""
        return self._launcher.pid

    # -- orders of the engine

    def start(self, worker_id: str, function: FunctionSpec) -> None:
        if self._closed:
            raise Unavailable("the agent is stopping")
        folder = str(self._folder / worker_id)
        read, write = -1, -1
        address = self._doors.open(worker_id)
        try:
            variables = environment.variables(
                function, address, folder, f"{self._mark}/{worker_id}", self._surroundings
            )
            order = environment.order(function, variables, self._secrets)
            read, write = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(read, False)
            self._launcher.send(("start", worker_id, order), write)
        except (OSError, Unavailable) as error:
            self._doors.close(worker_id)
            if read >= 0:
                os.close(read)
            raise (
                error
                if isinstance(error, Unavailable)
                else Unavailable(f"function {function.name} cannot be started: {error}")
            ) from error
        self._slots[worker_id] = _Slot(function, Output(read, time.monotonic()))
        self._loop.watch(read, partial(self._heard, worker_id))

    def renew(self, worker_id: str) -> None:
        if slot := self._slots.get(worker_id):
            slot.renewing = True
            if slot.running:
                self._launcher.send(("end", worker_id))

    def kill(self, worker_id: str) -> None:
        if slot := self._slots.get(worker_id):
            slot.killed = True
            if slot.running:
                self._launcher.send(("kill", worker_id))

    def log(self, worker_id: str) -> str:
        if slot := self._slots.get(worker_id):
            self._read(worker_id, slot)
            return slot.output.tail
        return ""

    def close(self, timeout: float = 10.0) -> None:
        if self._closed:
            return
        self._closed = True
        self._launcher.close(timeout)
        self._lost()

    # -- words of the keeper

    def _told(self, message: Message) -> None:
        what, *more = message
        if what == "hello":
            (self.limits,) = more
            log.info("workers are limited by: %s", self.limits)
        elif what == "begun":
            self._doors.expect(*more)
        else:
            worker_id, code, why = more
            self._ended(worker_id, self._slots[worker_id], code, why)

    def _ended(self, worker_id: str, slot: _Slot, code: int, why: str) -> None:
        """Its process is gone, with all it started."""
        slot.running = False
        stays = slot.function.isolation == "process"
        if stays:
            self._doors.hang_up(worker_id)  # its answer may be in what it said last: then we are told to renew
        self._print(worker_id, slot.output.rest(time.monotonic()))
        if stays and slot.renewing and not slot.killed and not self._closed:
            slot.output.begin()
            self._events.renewed(worker_id)
            self._loop.post(self._again, worker_id)  # after the engine has heard it
            return
        if stays and not self._closed:
            self._launcher.send(("drop", worker_id))
        self._gone(worker_id, *_reason(slot, code, why))

    def _again(self, worker_id: str) -> None:
        slot = self._slots.get(worker_id)
        if slot is None or self._closed:
            return
        if slot.killed:
            self._launcher.send(("drop", worker_id))
            self._gone(worker_id, "was killed")
            return
        slot.running, slot.renewing = True, False
        self._launcher.send(("again", worker_id))

    def _lost(self) -> None:
        """The keeper is gone, and its workers are or will be: the next one ends who is left before it begins."""
        for slot in self._slots.values():
            slot.running = False  # when one's last answer is read below, there is nobody to be told to renew it
        for worker_id, slot in list(self._slots.items()):
            self._print(worker_id, slot.output.rest(time.monotonic()))
            ours = slot.killed or self._closed
            self._gone(worker_id, "was killed" if ours else "was ended, for the process that starts workers had died")

    def _gone(self, worker_id: str, reason: str, kind: str = "worker-lost") -> None:
        slot = self._slots[worker_id]
        self._doors.close(worker_id)  # it may have answered: then its log is asked for
        tail = slot.output.tail
        self._loop.unwatch(slot.output.pipe)
        os.close(slot.output.pipe)
        del self._slots[worker_id]
        self._events.exited(worker_id, reason, tail, kind)

    # -- what workers print

    def _heard(self, worker_id: str, _mask: int) -> None:
        """It printed. Who floods is not listened to for a moment."""
        slot = self._slots[worker_id]
        self._read(worker_id, slot)
        if slot.output.over:
            self._loop.unwatch(slot.output.pipe)
        elif slot.output.full:
            self._loop.unwatch(slot.output.pipe)
            self._floods.append(worker_id)
            self._listen.no_later_than(time.monotonic() + BREATH)

    def _listen_again(self) -> None:
        floods, self._floods = self._floods, []
        for worker_id in floods:
            if slot := self._slots.get(worker_id):
                self._loop.watch(slot.output.pipe, partial(self._heard, worker_id))

    def _read(self, worker_id: str, slot: _Slot) -> None:
        before = slot.output.left_out
        self._print(worker_id, slot.output.read(time.monotonic()))
        self.left_out[slot.function.name] += slot.output.left_out - before

    def _print(self, worker_id: str, text: bytes) -> None:
        if text:
            self._events.printed(worker_id, text)
            if output.isEnabledFor(logging.DEBUG):
                output.debug("%s: %s", worker_id, text.decode("utf-8", "replace").rstrip())


def _reason(slot: _Slot, code: int, why: str) -> tuple[str, str]:
    """(completes "its worker ...", `Failed.kind`)."""
    if slot.killed:
        return "was killed", "worker-lost"
    if why == "memory":
        return f"used more than the {slot.function.memory / MiB:g} MiB its manifest allows (memory)", "out-of-memory"
    if why == "pids":
        return f"started more than {PROCESSES} processes; let it start fewer at a time", "too-many-processes"
    return why or status(code), "worker-lost"
