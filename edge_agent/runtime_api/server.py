"""The Runtime API's sockets, on the engine's own loop.

Enters: connections of workers. Leaves: requests to `Calls`, answers in one write each.
Guarantee: a request counts for the worker it came from, and for no other: each local worker has a port of its own, on
loopback, and the kernel says which user is at the other end. A worker elsewhere (a pod) is told by an `Identify`.
Not chosen: http.server or a WSGI server: a thread per waiting worker, and several times the work per call.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import time
from collections.abc import Callable

from edge_agent.engine.functions.dispatch import Engine
from edge_agent.engine.functions.loop import READ, WRITE, Loop
from edge_agent.engine.functions.work import Handover
from edge_agent.errors import Unavailable
from edge_agent.runtime_api.calls import Calls, handover, refusal
from edge_agent.runtime_api.http import CONTINUE, BadRequest, Parser, Request
from edge_agent.runtime_api.peers import Address, Peers

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
CHUNK = 256 * 1024
"""Bytes read at once."""
BACKLOG = 16
MOST_CONNECTIONS = 16
"""Of one worker at a time. Clients use one or two."""

OUT_OF_FILES = 0.2
"""Seconds before the next try to accept when the process has no file descriptor left."""
KEEPALIVE = (
    ((socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), 30),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPINTVL), 10),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPCNT), 3),
)
"""A worker may wait in `next` for days: a dead one is noticed after a minute."""

Identify = Callable[[Address, Request], str | None]
"""(peer, its first request) -> the worker's id; None for a stranger. Asked once per connection."""


class Connection:
    """One TCP connection of one worker."""

    def __init__(self, door: Door, sock: socket.socket, peer: Address) -> None:
        self.door = door
        self.peer = peer
        self.worker_id = ""
        self.waiting = False
        """In `next`: an answer will come when there is an event."""
        self._sock = sock
        self._fd = sock.fileno()
        self._parser = Parser()
        self._unsent = memoryview(b"")
        self._given = False
        self._closing = False
        self._keep_alive = True
        self.closed = False
        door.loop.watch(self._fd, self.ready)

    def ready(self, mask: int) -> None:
        if mask & WRITE:
            self._flush()
        if mask & ~WRITE and not self.closed:
            self.read()

    def read(self) -> bool:
        """Take in what has arrived and answer the whole requests in it; False when there was nothing."""
        try:
            data = self._sock.recv(CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self.close()
            return False
        if not self._closing:
            self._parser.feed(data)
            self._answer()
        return not self.closed

    def _answer(self) -> None:
        try:
            while not self._closing and not self.closed and (request := self._parser.next()) is not None:
                self._keep_alive = request.keep_alive
                if not self._known(request):
                    self._refuse(403, "Forbidden", "this address does not belong to a worker of this user")
                    return
                answer = self.door.calls.serve(self.worker_id, request, self.give)
                if answer is not None:
                    self._send(answer)
                else:
                    self.waiting = not self._given
                    self._given = False
            if self._parser.continue_wanted:
                self._parser.continue_wanted = False
                self._write(CONTINUE)
        except BadRequest as problem:
            self._refuse(problem.status, "InvalidRequest", str(problem))

    def _known(self, request: Request) -> bool:
        if not self.worker_id:
            self.worker_id = self.door.identify(self.peer, request) or ""
        return bool(self.worker_id)

    def give(self, event: Handover) -> bool:
        """Send an event to the worker that waits here; False when it is gone."""
        if self.closed:
            return False
        self._given = not self.waiting
        self.waiting = False
        self._send(handover(event))
        return True

    def _refuse(self, status: int, kind: str, message: str) -> None:
        self._keep_alive = False
        self._send(refusal(status, kind, message, keep_alive=False))

    def _send(self, answer: bytes) -> None:
        self._write(answer)
        if not self._keep_alive:
            self._closing = True
            if not self._unsent:
                self._finish()

    def _write(self, data: bytes) -> None:
        if self._unsent:
            self._unsent = memoryview(bytes(self._unsent) + data)
            return
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the read that follows finds it closed
        if sent < len(data):
            self._unsent = memoryview(data)[sent:]
            self.door.loop.rewatch(self._fd, READ | WRITE)

    def _flush(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self.door.loop.rewatch(self._fd, READ)
            if self._closing:
                self._finish()

    def _finish(self) -> None:
        """Say that no more comes; the other side closes, and we then (RFC 9112, 9.6)."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self.door.loop.unwatch(self._fd)
        self._sock.close()
        self.door.connections.discard(self)
        if self.waiting:
            self.waiting = False
            self.door.engine.left(self.worker_id, self.give)


class Door:
    """One listening socket, and what came in through it."""

    def __init__(self, engine: Engine, address: Address, identify: Identify, most: int) -> None:
        self.engine = engine
        self.loop: Loop = engine.loop
        self.calls = Calls(engine)
        self.identify = identify
        self.connections: set[Connection] = set()
        self._most = most
        self._closed = False
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit both
            for option, value in KEEPALIVE:
                self._sock.setsockopt(*option, value)
            self._sock.bind(address)
            self._sock.listen(BACKLOG if most <= MOST_CONNECTIONS else most)
        except OSError as error:
            self._sock.close()
            raise Unavailable(f"cannot listen on {address[0]}:{address[1]} for functions: {error.strerror}") from error
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
        if len(self.connections) >= self._most:
            sock.close()
            return True
        sock.setblocking(False)
        connection = Connection(self, sock, peer)
        self.connections.add(connection)
        connection.read()  # the request is mostly there already: that saves a turn
        return True

    def close(self, *, drain: bool) -> None:
        """Close it and its connections; `drain`: first hear what was said before."""
        if drain:
            while self.accept():
                pass
            for connection in list(self.connections):
                while not connection.closed and connection.read():
                    pass
        for connection in list(self.connections):
            connection.close()
        self.loop.unwatch(self._sock.fileno())
        self._closed = True
        self._sock.close()


class RuntimeServer:
    """Opens doors. All of it belongs to the loop's thread."""

    def __init__(self, engine: Engine, *, worker_uid: int | None = None) -> None:
        """`worker_uid` is the user local workers run as (default: the agent's own)."""
        self._engine = engine
        self._uid = os.getuid() if worker_uid is None else worker_uid
        self._peers = Peers()
        self._doors: dict[str, Door] = {}

    def open(self, worker_id: str) -> str:
        """A port of its own for one local worker: `127.0.0.1:port`, listening now. Errors: `Unavailable`."""

        def identify(peer: Address, _request: Request) -> str | None:
            uid = self._peers.uid_of(peer, door.address)
            return worker_id if uid is None or uid == self._uid else None

        door = Door(self._engine, (LOOPBACK, 0), identify, MOST_CONNECTIONS)
        self._doors[worker_id] = door
        return f"{LOOPBACK}:{door.address[1]}"

    def close(self, worker_id: str) -> None:
        """The worker is gone; what it said last is heard first. Unknown is no error."""
        if door := self._doors.pop(worker_id, None):
            door.close(drain=True)

    def listen(self, address: Address, identify: Identify, most: int = 4096) -> Address:
        """One address for many workers, told apart by `identify`: for pods. Errors: `Unavailable`."""
        door = Door(self._engine, address, identify, most)
        self._doors[f"{address[0]}:{address[1]}"] = door
        return door.address

    def close_all(self) -> None:
        for door in self._doors.values():
            door.close(drain=False)
        self._doors.clear()
        self._peers.close()
