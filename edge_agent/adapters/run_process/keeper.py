"""The keeper: a small process between the agent and its workers, which starts them, ends them and tidies up after them.

Enters: orders over a socket (`process.Message`), each start with the pipe to print into. Leaves: how each process ended.
Guarantee: a process is said to have ended when everything it started has ended too and its folder is empty. When the
socket closes, which the kernel does when the agent is gone, however it went, the keeper ends every worker, removes
folders and groups, and ends itself. A keeper that begins first ends what an earlier one left.
Not chosen, measured on two cores [CPU of the agent | of all, per start of a program that does nothing]: `Popen` in the
agent 0.17 | 0.73 ms, and its loop stands still until the program is loaded; the same as another user 2.6 | 5.4 ms, for
then Python copies the whole agent; a keeper that forks 0.04 | 1.3 ms, half of it pages copied one by one; this one, with
posix_spawn, 0.04 | 0.7 ms, and 0.04 ms more for each control group entered.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import resource
import select
import shutil
import signal
import socket
import sys
import time

from edge_agent.adapters.run_process import hierarchy, strays
from edge_agent.adapters.run_process.cgroups import Groups, Limits
from edge_agent.adapters.run_process.place import Place
from edge_agent.adapters.run_process.process import Message, Owner, clear
from edge_agent.adapters.run_process.watch import PROCESSES, Watch

MOST = 192 * 1024
"""Bytes of a message."""
AGAIN = 0.005
"""Seconds until the next look at somebody who was killed and is still there."""


class Keeper:
    """Lives in one thread and never waits for anybody but on its socket."""

    def __init__(
        self, sock: socket.socket, folder: str, mark: str, *, groups: Groups | None, watch: Watch, owner: Owner
    ) -> None:
        self._sock = sock
        self._folder = folder
        self._mark = mark
        self._places: dict[str, Place] = {}
        self._mains: dict[int, Place] = {}
        self._removers: set[int] = set()
        self._nothing = os.open(os.devnull, os.O_RDONLY)
        self._buffer = bytearray(MOST)
        self._groups = groups
        self._watch = watch
        self._owner = owner
        self._wake, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Until the agent is gone."""
        self._sweep()
        os.mkdir(self._folder, 0o711 if self._owner.other else 0o700)
        self._tell(("hello", self._watch.says))
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            for fd, _ in poll.poll(self._pause()):
                if fd == self._wake:
                    os.read(self._wake, 4096)
                elif not self._hear():
                    return
            self._reap()
            for place in self._watch.look(self._mains):
                place.kill()
            for place in [place for place in self._places.values() if place.ended is not None]:
                self._settle(place)

    def _pause(self) -> float | None:
        """Milliseconds; None when there is nothing but orders to wait for."""
        if any(place.ended is not None for place in self._places.values()):
            return AGAIN * 1000
        return max(0.0, self._watch.due - time.monotonic()) * 1000 if self._mains else None

    def close(self) -> None:
        """End everybody and leave nothing."""
        for place in self._places.values():
            place.kill()
        self._sweep()
        if self._groups is not None:
            self._groups.close()

    def _sweep(self) -> None:
        """End all that carries our mark or is our child, and remove the folder."""
        for _ in range(100):
            left = {*strays.marked(self._mark), *strays.children(os.getpid())}
            if not left:
                break
            _kill(left)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            time.sleep(AGAIN)
        shutil.rmtree(self._folder, ignore_errors=True)

    # -- orders

    def _hear(self) -> bool:
        """Carry out one order; False when there will be no more."""
        try:
            size, control, _, _ = self._sock.recvmsg_into([self._buffer], socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            return False
        if not size:
            return False
        what, worker_id, *more = marshal.loads(self._buffer[:size])  # noqa: S302 - our own agent's
        if what == "start":
            output = int.from_bytes(control[0][2][:4], sys.byteorder)
            self._places[worker_id] = Place(worker_id, more[0], output, f"{self._folder}/{worker_id}")
            self._begin(self._places[worker_id])
        elif place := self._places.get(worker_id):
            if what == "again":
                self._begin(place)
            elif what == "kill":
                place.kill()
            elif what == "end":
                place.end()
            else:
                self._drop(place)
        return True

    def _begin(self, place: Place) -> None:
        order = place.order
        try:
            if place.group is not None:
                place.group.again()
            elif self._groups is not None:
                limits = Limits(order["memory"], order["cpu"], PROCESSES)
                place.group = self._groups.lend(order["function"], limits)
            self._owner.furnish(place.folder, order["secrets"])
            place.pid = place.first = self._owner.begin(order, place.output, self._nothing)
            self._tell(("begun", place.id, place.pid))
            self._mains[place.pid] = place
            if place.group is not None and self._groups is not None:
                self._groups.admit(place.pid, place.group)
        except OSError as error:
            place.why = f"could not be started: {error}"
            if place.pid:
                os.kill(place.pid, signal.SIGKILL)
            else:
                place.ended = 1
            return
        if not order["keep"]:
            os.close(place.output)
            place.output = -1

    def _drop(self, place: Place) -> None:
        """Nobody will come again."""
        del self._places[place.id]
        if place.output >= 0:
            os.close(place.output)
        if place.group is not None and self._groups is not None:
            self._groups.give_back(place.group)

    # -- ends

    def _reap(self) -> None:
        """Take note of everybody who ended."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                pid = ended.si_pid
                place = self._mains.pop(pid, None)
                if place is not None and place.group is None:
                    place.end()  # before it is reaped: until then its number cannot be another's
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                self._removers.discard(pid)
                if place is not None:
                    place.pid, place.ended = 0, code

    def _settle(self, place: Place) -> None:
        """Once nobody is left: tidy up, and say how it ended."""
        if left := self._left_by(place):
            if place.group is not None:
                place.group.kill()
            _kill(left)
            return
        if place.group is not None and (exceeded := place.group.exceeded()) and place.ended:
            place.why = place.why or exceeded
        if remover := clear(place.folder):
            self._removers.add(remover)
        message = ("ended", place.id, place.ended, place.why)
        place.ended, place.why = None, ""
        if not place.order["keep"]:
            self._drop(place)
        self._tell(message)

    def _left_by(self, place: Place) -> set[int]:
        """Who of the place is still there; without a group also who is nobody's: a child of ours with no mark."""
        if place.group is not None:
            return place.group.members()
        ours = (pid for pid in strays.children(os.getpid(), place.first) if pid not in self._mains)
        living = {f"{self._mark}/{other.id}" for other in self._mains.values()}
        return {pid for pid in ours if pid not in self._removers and strays.mark_of(pid) not in living}

    def _tell(self, message: Message) -> None:
        with contextlib.suppress(OSError):  # the agent is gone: the next order is the end
            self._sock.send(marshal.dumps(message))


def _kill(pids: set[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def main() -> None:
    """`fd folder mark groups|no-groups [uid gid]`."""
    fd, folder, mark, with_groups, *ids = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a stop of the whole service: the agent tells us when
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("300")  # of workers too: where memory ends, the agent goes last
    os.set_inheritable(int(fd), False)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    strays.adopt()
    groups, why = hierarchy.find(f"edge-{mark}", os.getppid()) if with_groups == "groups" else (None, "not wanted")
    watch = Watch(groups, why)
    owner = Owner((int(ids[0]), int(ids[1])) if ids else None, nice=not watch.cpu)
    keeper = Keeper(socket.socket(fileno=int(fd)), folder, mark, groups=groups, watch=watch, owner=owner)
    try:
        keeper.serve()
    finally:
        keeper.close()
