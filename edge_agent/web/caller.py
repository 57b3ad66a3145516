"""One client's connection: its request is gathered without waiting, and takes a thread only when it is whole.

In: an accepted socket. Out: cheroot's HTTPConnection, with a request that can be read without blocking.
Guarantee: however slowly a client shakes hands (TLS), sends its head or a body up to `GATHERED_BODY`, it costs a file
descriptor and a few KiB, never a thread. Not chosen: cheroot's own way, a thread that waits for the rest of the head; ten
slow clients would silence `/healthz`.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import ssl
import time
from enum import Enum
from typing import Any

from cheroot.server import HTTPConnection, HTTPRequest

LONGEST_HEAD = 16 * 1024
GATHERED_BODY = 64 * 1024
"""Bytes of a body worth waiting for before a thread is spent: every message of a board (INTERFACE: 64 KiB)."""
DRAINED = 1024 * 1024
LINGER = 0.5
"""Bytes of an unwanted body, and seconds, that are read and thrown away so that the client gets to see the answer."""

_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"(?im)^content-length[ \t]*:[ \t]*(\d{1,18})[ \t]*\r?$")
_COMES_LATER = re.compile(rb"(?im)^(expect|transfer-encoding)[ \t]*:")


class Progress(Enum):
    PART = "more is to come"
    WHOLE = "a request can be answered"
    GONE = "nobody is there any more"


class Inbox:
    """What has arrived and nobody has read: filled without waiting, read the way cheroot reads."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.buffer = bytearray()
        self.bytes_read = 0
        self.closed = False

    def fill(self, upto: int) -> bool:
        """Take what is there until the buffer holds `upto` bytes; False at the end of the stream. The socket must not block.
        Errors: BlockingIOError and ssl.SSLWantReadError when there is no more yet."""
        while len(self.buffer) < upto:
            data = self._socket.recv(16 * 1024)
            if not data:
                return False
            self.buffer += data
        return True

    def has_data(self) -> bool:
        return bool(self.buffer)

    def readline(self, size: int | None = None) -> bytes:
        limit = -1 if size is None else size
        while (end := self.buffer.find(b"\n")) < 0 and not 0 <= limit <= len(self.buffer):
            if not self._wait_for_more():
                break
        length = end + 1 if end >= 0 else len(self.buffer)
        return self._take(min(length, limit) if limit >= 0 else length)

    def read(self, size: int | None = None) -> bytes:
        limit = -1 if size is None else size
        while not 0 <= limit <= len(self.buffer) and self._wait_for_more():
            pass
        return self._take(min(limit, len(self.buffer)) if limit >= 0 else len(self.buffer))

    def close(self) -> None:
        self.closed = True

    def _wait_for_more(self) -> bool:
        data = self._socket.recv(64 * 1024)
        self.buffer += data
        return bool(data)

    def _take(self, size: int) -> bytes:
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        self.bytes_read += size
        return taken


class Outbox:
    """What leaves: the head waits for the first bytes of the body, so that a short answer is one packet."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._held = b""
        self.bytes_written = 0

    def hold(self, head: bytes) -> None:
        self._held += head

    def write(self, data: bytes) -> int:
        """Errors: OSError; TimeoutError when the client does not read."""
        self._socket.sendall(self._held + data if self._held else data)
        self._held = b""
        self.bytes_written += len(data)
        return len(data)

    def flush(self) -> None:
        if self._held:
            self.write(b"")


class Request(HTTPRequest):
    """cheroot's request, stricter about lengths (RFC 9112, 6.3) and unwilling to read for ever what nobody asked for."""

    def read_request_headers(self) -> bool:
        if not super().read_request_headers():  # type: ignore[no-untyped-call]
            self.conn.lingers = True
            return False
        length = self.inheaders.get(b"Content-Length")
        if length is not None and (not length.isdigit() or b"Transfer-Encoding" in self.inheaders):
            self.close_connection = True
            self.simple_response("400 Bad Request", "Content-Length must be a number, and alone.")
            return False
        return True

    def send_headers(self) -> None:
        # What is left here was not wanted by the application (401, 404, 413): a little is read and forgotten by cheroot so
        # that the connection can stay; more than that, or a body of unknown length, ends the connection.
        unread = getattr(self.rfile, "remaining", 0)
        if self.chunked_read or unread > len(self.conn.rfile.buffer):
            self.close_connection = True
            self.conn.lingers = True
        wfile: Outbox = self.conn.wfile
        self.conn.wfile = _Holding(wfile)
        try:
            super().send_headers()
        finally:
            self.conn.wfile = wfile

    def respond(self) -> None:
        super().respond()
        self.conn.wfile.flush()


class _Holding:
    """An outbox as `send_headers` sees it."""

    def __init__(self, outbox: Outbox) -> None:
        self.write = outbox.hold


class Caller(HTTPConnection):
    """A connection that can say how far its next request has come."""

    RequestHandlerClass = Request

    def __init__(self, server: Any, sock: socket.socket, makefile: Any = None) -> None:
        super().__init__(server, sock, *([makefile] if makefile else []))
        self.rfile, self.wfile = Inbox(sock), Outbox(sock)
        self.shaking_hands = isinstance(sock, ssl.SSLSocket)
        self.started = 0.0
        """When the request now being gathered began (time.time()); 0.0 between requests."""
        self.lingers = False
        """Whether the client may still be sending what nobody will read."""

    def gather(self) -> Progress:
        """Take what the client has sent, without waiting for more."""
        try:
            self.socket.settimeout(0)
            if self.shaking_hands:
                self.socket.do_handshake()
                self.shaking_hands = False
            alive = self.rfile.fill(LONGEST_HEAD + GATHERED_BODY)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            alive = True
        except OSError:  # a failed handshake is one too
            return Progress.GONE
        finally:
            if self.socket.fileno() >= 0:
                self.socket.settimeout(self.server.timeout)
        if self._is_whole():
            return Progress.WHOLE
        return Progress.PART if alive else Progress.GONE

    @property
    def target(self) -> bytes:
        """The path of the request that was gathered, as it was sent, without its query."""
        words = bytes(self.rfile.buffer[: self.rfile.buffer.find(b"\n")]).split(b" ")
        return words[1].partition(b"?")[0] if len(words) == 3 else b""

    def has_left(self) -> bool:
        """Whether the client has closed its end. Looks at the kernel only: nothing is read."""
        if self.socket.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(self.socket.fileno(), select.POLLRDHUP)
        return bool(poll.poll(0))

    def turn_away(self, answer: bytes) -> None:
        """Send a ready-made answer without waiting, and hang up."""
        try:
            self.socket.settimeout(0)
            self.socket.send(answer)
        except OSError:
            pass
        self.close()

    def interrupt(self) -> None:
        """Make whoever is reading from or writing to this connection stop. Any thread."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self.lingers:
            self._drop_what_comes()
        super().close()

    def _drop_what_comes(self) -> None:
        """Closing over unread data resets the connection before the client has seen the answer: read on for a moment."""
        end = time.monotonic() + LINGER
        dropped = 0
        try:
            self.socket.shutdown(socket.SHUT_WR)
            while dropped < DRAINED and (left := end - time.monotonic()) > 0:
                self.socket.settimeout(left)
                data = socket.socket.recv(self.socket, 64 * 1024)  # below TLS: its bytes are of no interest any more
                if not data:
                    return
                dropped += len(data)
        except (OSError, ValueError):
            return

    def _is_whole(self) -> bool:
        buffer = self.rfile.buffer
        while buffer[:2] == b"\r\n":  # RFC 9112, 2.2: empty lines before a request are ignored
            del buffer[:2]
        end = _END_OF_HEAD.search(buffer, 0, LONGEST_HEAD + 4)
        if end is None:
            return len(buffer) > LONGEST_HEAD
        head = bytes(buffer[: end.start()])
        length = _LENGTH.search(head)
        if length is None or int(length[1]) > GATHERED_BODY or _COMES_LATER.search(head):
            return True
        return len(buffer) - end.end() >= int(length[1])
