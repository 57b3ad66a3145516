"""One listening socket: gathers requests without waiting, sorts them into lanes, and keeps the crowd bounded.

In: connections. Out: answered requests. Guarantee: `/healthz`, `/readyz` and `/metrics` have threads of their own, event
streams have theirs, pages have theirs; whoever holds a connection without asking anything is let go first.
cheroot parses HTTP and speaks WSGI; the lines here that lean on its private names are `Reception` (tests/web/test_server.py
guards them).
"""

from __future__ import annotations

import logging
import re
import selectors
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any

from cheroot import connections, makefile, wsgi

from edge_agent.web.caller import LONGEST_HEAD, Caller, Progress
from edge_agent.web.lanes import Lane

log = logging.getLogger(__name__)

MAX_BODY = 6 * 1024 * 1024 + 64 * 1024
"""Bytes: the largest event of a function, and a little."""
PROBES = (b"/healthz", b"/readyz", b"/metrics")
STREAMS = re.compile(rb"/api/v1/(events|functions/[^/]+/logs/live)/?")
TLS_HANDSHAKE = 0x16
BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Type: application/problem+json\r\n"
    b'Connection: close\r\nContent-Length: 120\r\n\r\n{"type":"about:blank","title":"Service Unavailable","status":503,'
    b'"detail":"every place is taken; try again in a moment"}'
)


@dataclass(frozen=True, slots=True)
class Places:
    """How many may be served at once. A place is a thread, started when first needed."""

    pages: int = 8
    streams: int = 16
    probes: int = 2
    connections: int = 256
    """Open connections, idle ones included; beyond it the one that has been silent longest is closed."""


class Reception(connections.ConnectionManager):
    """Connections that are between requests, or whose request is still arriving."""

    _selector: Any
    _num_connections: int

    def wait_for(self, caller: Caller) -> None:
        """Look at `caller` again when more of its request has come."""
        self._selector.register(caller.socket.fileno(), selectors.EVENT_READ, data=caller)

    def make_room(self, most: int) -> None:
        """Close connections that have been silent longest until `most` are left."""
        waiting = [(fd, caller) for fd, caller in self._selector.connections if caller is not self.server]
        for fd, caller in sorted(waiting, key=lambda entry: entry[1].last_used or 0.0)[: max(0, len(waiting) - most)]:
            self._selector.unregister(fd)
            caller.close()

    def request_stop(self) -> None:
        self._stop_requested = True

    @property
    def crowd(self) -> int:
        return self._num_connections

    def _from_server_socket(self, server_socket: socket.socket) -> Caller | None:
        try:
            accepted, address = server_socket.accept()
        except OSError as error:
            if not isinstance(error, (TimeoutError, BlockingIOError, ConnectionAbortedError)):
                log.warning("a connection could not be accepted: %s", error)
                self.make_room(self.crowd // 2)
            return None
        context: ssl.SSLContext | None = self.server.tls
        if context is not None:
            accepted = context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        caller = Caller(self.server, accepted, makefile.MakeFile)
        if isinstance(address, tuple):
            caller.remote_addr, caller.remote_port = address[0], address[1]
        caller.ssl_env = {"wsgi.url_scheme": "https", "HTTPS": "on"} if context else {}
        caller.last_used = time.time()
        return caller


class Gateway(wsgi.Gateway_10):
    """WSGI, plus what the application may know of the connection."""

    def get_environ(self) -> dict[str, Any]:  # type: ignore[override]
        environ: dict[str, Any] = super().get_environ()  # type: ignore[no-untyped-call]
        caller: Caller = self.req.conn
        environ["edge.has_left"] = caller.has_left
        environ["edge.local_address"] = "" if caller.socket.family == socket.AF_UNIX else caller.socket.getsockname()[0]
        return environ


class Doorway(wsgi.Server):
    """One listening socket and its lanes. `run` serves until `stop`."""

    ConnectionClass = Caller
    max_request_header_size = LONGEST_HEAD
    max_request_body_size = MAX_BODY
    keep_alive_conn_limit = 200

    def __init__(self, app: Any, listener: socket.socket, tls: ssl.SSLContext | None, places: Places) -> None:
        self.unix = listener.family == socket.AF_UNIX
        address: Any = listener.getsockname()
        super().__init__(
            address if self.unix else address[:2],
            app,
            server_name="edge-agent",
            timeout=10,
            peercreds_enabled=self.unix,
        )
        self.gateway = Gateway
        self.software = "edge-agent"
        self.tls = tls
        self.places = places
        self.socket = listener
        self.socket.settimeout(1)
        self._connections = Reception(self)
        self._probes = Lane("probe", self._answer, threads=places.probes, waiting=32)
        # Two more than there are streams, so that the one too many is told so by the application.
        self._streams = Lane("stream", self._answer, threads=places.streams + 2, waiting=16)
        self._pages = Lane("page", self._answer, threads=places.pages, waiting=64)
        self.ready = True

    def run(self) -> None:
        """Serve until `stop`."""
        while self.ready:
            try:
                self._connections.run(self.expiration_interval)
            except Exception:  # one connection must not end the service
                log.exception("serving went wrong and goes on")

    def process_conn(self, conn: Caller) -> None:
        """Take what has come from `conn`; when its request is whole, hand it to the lane it belongs in."""
        match conn.gather():
            case Progress.GONE:
                conn.close()
            case Progress.PART:
                if not conn.started:  # from here on it has `timeout` seconds to finish its request
                    conn.started = conn.last_used = time.time()
                self._connections.wait_for(conn)
                if self._connections.crowd > self.places.connections:
                    self._connections.make_room(self.places.connections)
            case Progress.WHOLE:
                conn.started = 0.0
                if not self._lane(conn.target).put(conn):
                    conn.turn_away(BUSY)

    def put_conn(self, conn: Caller) -> None:
        if not self.ready:
            conn.close()
        elif conn.rfile.has_data():
            self.process_conn(conn)
        else:
            conn.last_used = time.time()
            self._connections.wait_for(conn)

    def stop(self, patience: float = 2.0) -> None:
        """Stop listening, end idle connections, give requests `patience` seconds."""
        if not self.ready:
            return
        self.ready = False
        self._connections.request_stop()
        self._wake()
        for lane in (self._streams, self._pages, self._probes):
            lane.stop(Caller.interrupt, patience)
        self._connections.stop()
        self._connections.close()
        self.socket.close()

    def error_log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:
        log.log(level, "%s", msg, exc_info=traceback)

    def _lane(self, target: bytes) -> Lane[Caller]:
        if target in PROBES:
            return self._probes
        return self._streams if STREAMS.fullmatch(target) else self._pages

    def _answer(self, caller: Caller) -> None:
        keep = False
        try:
            keep = bool(caller.communicate())  # type: ignore[no-untyped-call]
        finally:
            if keep:
                self.put_conn(caller)
            else:
                caller.close()

    def _wake(self) -> None:
        """The selector sleeps until something comes: come."""
        try:
            with socket.socket(self.socket.family, socket.SOCK_STREAM) as visitor:
                visitor.settimeout(0.2)
                visitor.connect(self.socket.getsockname())
        except OSError as error:  # it wakes by itself within `expiration_interval`
            log.debug("the server was not woken: %s", error)
