"""The Runtime API's sockets, on the engine's own loop.

Enters: connections of workers. Leaves: `Connection`s, which serve them.
Guarantee: a request counts for the worker it came from, and for no other: each local worker has an address of its own
on the loopback, and the kernel says who is at the other end (`visitors`). A worker elsewhere (a pod) is told by an `Identify`.
Not chosen: http.server or a WSGI server: a thread per waiting worker, and several times the work per call.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import logging
import os
import socket
import time
from collections.abc import Callable

from edge_agent.engine.functions.dispatch import Engine
from edge_agent.engine.functions.loop import READ, Loop
from edge_agent.errors import Unavailable
from edge_agent.runtime_api.calls import Calls
from edge_agent.runtime_api.connection import Connection
from edge_agent.runtime_api.http import Request
from edge_agent.runtime_api.peers import Address
from edge_agent.runtime_api.routes import answering
from edge_agent.runtime_api.visitors import Visitors

log = logging.getLogger(__name__)

LOOPBACK = ipaddress.IPv4Network("127.64.0.0/10")
"""Local workers' doors: each is on the next address. On one address each worker's port would rest for a minute after it was
used (TIME-WAIT, RFC 9293): at 240 fresh workers a second the kernel's search for a free one took as long as the worker."""
MOST_CONNECTIONS = 16
"""Of one worker at a time. Clients use one or two."""
MOST_IN_ALL = 4096
"""Through a door for many."""

OUT_OF_FILES = 0.2
"""Seconds before the next try to accept when the process has no file descriptor left."""
KEEPALIVE = (
    ((socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), 30),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPINTVL), 10),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPCNT), 3),
)
"""A worker may wait in `next` for days: a dead one is noticed after a minute."""

IP_FREEBIND = 15
"""ip(7). The pod network's bridge is there from a node's first pod on only."""

Identify = Callable[[Address, Request], str | None]
"""(peer, request) -> the worker's id; None for a stranger. Errors: `Unavailable` (ask again)."""
Given = Callable[[str], None]
"""Called with a worker's id before an event is sent to it."""


class Door:
    """One listening socket, and what came in through it."""

    def __init__(
        self, engine: Engine, address: Address, identify: Identify, *, own: bool, given: Given | None = None
    ) -> None:
        self.engine = engine
        self.loop: Loop = engine.loop
        self.calls = Calls(engine)
        self.identify = identify
        self.given = given
        self.own = own
        self._connections: dict[Connection, None] = {}
        """In the order they came."""
        self._most = MOST_CONNECTIONS if own else MOST_IN_ALL
        self._closed = False
        self._sock = _listen(address, self._most, free=not own)
        self.address: Address = self._sock.getsockname()
        self._again = self.loop.alarm(self._watch)
        self._watch()

    def _watch(self) -> None:
        if not self._closed:
            self.loop.watch(self._sock.fileno(), self.accept)

    def accept(self, _mask: int = READ) -> bool:
        """Take in one connection (the loop comes back for more); False when there was none."""
        try:
            sock, peer = self._sock.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):  # it stays readable: without a pause the loop would spin
                self.loop.unwatch(self._sock.fileno())
                self._again.no_later_than(time.monotonic() + OUT_OF_FILES)
            return False
        if len(self._connections) >= self._most and not self._make_room():
            sock.close()
            return True
        sock.setblocking(False)
        connection = Connection(self, sock, peer)
        self._connections[connection] = None
        connection.read()  # the request is mostly there already: that saves a turn
        return True

    def _make_room(self) -> bool:
        """Who came first of those that have had nothing to say yet must go: else a few silent strangers could fill the door."""
        for connection in self._connections:
            if not connection.admitted:
                connection.close()
                return True
        return False

    def held(self, worker_id: str) -> int:
        """See `connection.Entrance`."""
        return sum(one.held for one in self._connections if self.own or one.worker_id == worker_id)

    def crowded(self, worker_id: str) -> bool:
        """See `connection.Entrance`."""
        if self.own:
            return False  # it would not have come in
        return sum(1 for one in self._connections if one.worker_id == worker_id) > MOST_CONNECTIONS

    def left(self, connection: Connection) -> None:
        """See `connection.Entrance`."""
        self._connections.pop(connection, None)

    def hang_up(self, *, drain: bool) -> None:
        """Close its connections; `drain`: first hear what was said before."""
        if drain:
            while self.accept():
                pass
            for connection in list(self._connections):
                while not connection.closed and connection.read():
                    pass
        for connection in list(self._connections):
            connection.close()

    def dismiss(self, worker_id: str) -> None:
        """Close this worker's connections."""
        for connection in [one for one in self._connections if not self.own and one.worker_id == worker_id]:
            connection.close()

    def close(self, *, drain: bool) -> None:
        """Close it and its connections; `drain`: first hear what was said before."""
        self.hang_up(drain=drain)
        self.loop.unwatch(self._sock.fileno())
        self._closed = True
        self._sock.close()


def _listen(address: Address, backlog: int, *, free: bool = False) -> socket.socket:
    """`free`: also on an address that this machine does not have yet. Errors: `Unavailable`, also when the process has no
    file descriptor left."""
    try:
        with contextlib.ExitStack() as undo:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
            undo.callback(sock.close)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit both
            if free:
                sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
            for option, value in KEEPALIVE:
                sock.setsockopt(*option, value)
            sock.bind(address)
            sock.listen(backlog)
            undo.pop_all()
            return sock
    except OSError as error:
        raise Unavailable(f"cannot listen on {address[0]}:{address[1]} for functions: {error.strerror}") from error


class RuntimeServer:
    """Opens doors. All of it belongs to the loop's thread."""

    def __init__(self, engine: Engine, *, worker_uid: int | None = None) -> None:
        """`worker_uid` is the user local workers run as (default: the agent's own)."""
        self._engine = engine
        self._visitors = Visitors(os.getuid() if worker_uid is None else worker_uid)
        self._doors: dict[str, Door] = {}
        self._opened = 0

    def open(self, worker_id: str) -> str:
        """An address of its own on the loopback for one local worker: `address:port`, listening now. Errors: `Unavailable`."""

        def identify(peer: Address, request: Request) -> str | None:
            answers = answering(request.path)
            return worker_id if self._visitors.admits(worker_id, peer, door.address, answers=answers) else None

        self._opened += 1
        address = str(LOOPBACK[self._opened % LOOPBACK.num_addresses])
        door = Door(self._engine, (address, 0), identify, own=True)
        self._doors[worker_id] = door
        return f"{address}:{door.address[1]}"

    def expect(self, worker_id: str, pid: int) -> None:
        """Only this process and those it starts ask at this worker's door; until this is said, any of the workers' user."""
        if worker_id in self._doors:
            self._visitors.expect(worker_id, pid)

    def hang_up(self, worker_id: str) -> None:
        """Its process is gone and a fresh one will come: hear what was said last, then close the connections, not the door."""
        self._visitors.forget(worker_id)
        if door := self._doors.get(worker_id):
            door.hang_up(drain=True)

    def close(self, worker_id: str) -> None:
        """The worker is gone; what it said last is heard first. Unknown is no error."""
        if door := self._doors.pop(worker_id, None):
            door.close(drain=True)
        self._visitors.forget(worker_id)

    def listen(self, address: Address, identify: Identify, given: Given | None = None) -> Address:
        """One address for many workers, told apart by `identify` with each request: for pods. Errors: `Unavailable`."""
        door = Door(self._engine, address, identify, own=False, given=given)
        self._doors[f"{address[0]}:{address[1]}"] = door
        return door.address

    def dismiss(self, worker_id: str) -> None:
        """A worker that came through a door for many is gone: close its connections. Unknown is no error."""
        for door in self._doors.values():
            door.dismiss(worker_id)

    def close_all(self) -> None:
        for door in self._doors.values():
            door.close(drain=False)
        self._doors.clear()
        self._visitors.close()
