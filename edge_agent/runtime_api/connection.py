"""One TCP connection of a worker: bytes in, answers out, each in one write, in the order of the requests.

Enters: what the socket has to read. Leaves: requests to `Calls`, and on the socket what they return.
Guarantee: requests that came ahead of their turn wait (RFC 9112, 9.3.2), so nobody takes one answer for another; what is
held of what was not yet understood is bounded.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Protocol

from edge_agent.domain.function import MAX_PAYLOAD, MiB
from edge_agent.engine.functions.dispatch import Engine
from edge_agent.engine.functions.loop import READ, WRITE, Loop
from edge_agent.engine.functions.work import Handover
from edge_agent.errors import Unavailable
from edge_agent.runtime_api.calls import Calls, handover, refusal
from edge_agent.runtime_api.http import CONTINUE, BadRequest, Parser, Request
from edge_agent.runtime_api.peers import Address
from edge_agent.runtime_api.routes import answering

CHUNK = 64 * 1024
"""Bytes read at once. More would cost every small request: what is over 128 KiB, the C library has mapped anew each time."""
LARGE = MiB
MOST_HELD = 2 * MAX_PAYLOAD
"""Bytes of unfinished requests that a worker may have us hold, once one of its connections holds more than `LARGE`."""


class Entrance(Protocol):
    """What a connection knows of the door it came through (`server.Door`)."""

    engine: Engine
    loop: Loop
    calls: Calls
    own: bool
    """It is one worker's own: who came in stays who it is."""

    def identify(self, peer: Address, request: Request) -> str | None:
        """The worker that asks, or None. Errors: `Unavailable`, who asks may be known in a moment."""

    given: Callable[[str], None] | None
    """Told whom an event is about to be sent to."""

    def held(self, worker_id: str) -> int:
        """Bytes of unfinished requests of this worker."""

    def crowded(self, worker_id: str) -> bool:
        """Has this worker as many connections as it may have?"""

    def left(self, connection: Connection) -> None:
        """It is closed."""


class Connection:
    """Belongs to the loop's thread."""

    __slots__ = (
        "_closing", "_door", "_fd", "_given", "_keep_alive", "_parser", "_peer", "_sock", "_unsent", "_waiting",
        "admitted", "closed", "worker_id",
    )  # fmt: skip

    def __init__(self, door: Entrance, sock: socket.socket, peer: Address) -> None:
        self.worker_id = ""
        self.admitted = False
        """It has asked something that it had a right to ask."""
        self.closed = False
        self._door = door
        self._peer = peer
        self._sock = sock
        self._fd = sock.fileno()
        self._parser = Parser()
        self._unsent = memoryview(b"")
        self._waiting = False
        """In `next`: an answer will come when there is an event."""
        self._given = False
        self._closing = False
        self._keep_alive = True
        door.loop.watch(self._fd, self.ready)

    @property
    def held(self) -> int:
        """Bytes of unfinished requests."""
        return self._parser.held

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
            while not self._waiting and not self._closing and not self.closed:
                request = self._parser.next()
                if request is None:
                    break
                self._serve(request)
            if self._parser.continue_wanted:
                self._parser.continue_wanted = False
                self._write(CONTINUE)
            if self._parser.held > LARGE and self._door.held(self.worker_id) > MOST_HELD:
                self._refuse(413, "RequestEntityTooLarge", "too much at once that is not finished")
        except BadRequest as problem:
            self._refuse(problem.status, "InvalidRequest", str(problem))

    def _serve(self, request: Request) -> None:
        self._keep_alive = request.keep_alive
        try:
            worker_id = self._who(request)
        except Unavailable as error:
            self._refuse(503, "ServiceUnavailable", str(error))
            return
        if not worker_id:
            self._refuse(403, "Forbidden", "this address does not belong to the worker that asks")
            return
        if not self.admitted and self._door.crowded(worker_id):
            self._refuse(403, "Forbidden", "this worker has too many connections")
            return
        self.admitted = True
        answer = self._door.calls.serve(worker_id, request, self.give)
        if answer is not None:
            self._send(answer)
        else:
            self._waiting = not self._given
            self._given = False

    def _who(self, request: Request) -> str:
        """Who asks. Who answers an event says with its id that it was told it, but not what else it may ask."""
        if self.worker_id and self._door.own:
            return self.worker_id
        worker_id = self._door.identify(self._peer, request) or ""
        if not answering(request.path):
            self.worker_id = worker_id
        return worker_id

    def give(self, event: Handover) -> bool:
        """Send an event to the worker that waits here; False when it is gone."""
        if self.closed:
            return False
        if self._door.given is not None:
            self._door.given(self.worker_id)
        self._given = not self._waiting
        waited, self._waiting = self._waiting, False
        self._send(handover(event))
        if waited and self._parser.held:
            self._door.loop.post(self._answer)
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
            self._door.loop.rewatch(self._fd, READ | WRITE)

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
            self._door.loop.rewatch(self._fd, READ)
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
        self._door.loop.unwatch(self._fd)
        self._sock.close()
        self._door.left(self)
        if self._waiting:
            self._waiting = False
            self._door.engine.left(self.worker_id, self.give)
