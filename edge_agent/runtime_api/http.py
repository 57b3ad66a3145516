"""HTTP/1.1 as far as Lambda runtime clients speak it: bytes in, requests out; pure, no socket.

Kept from RFC 9112: Content-Length and chunked bodies, keep-alive, HTTP/1.0, `Expect: 100-continue` (RFC 9110, 10.1.1),
pipelining. A head that is ambiguous (two lengths, a length and chunks, folded lines) is refused, never guessed at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from edge_agent.domain.function import MAX_PAYLOAD, MiB

MAX_HEAD = MiB + 64 * 1024
"""Bytes of request line and headers. `awslambdaric` sends the cause of an error as a header of up to 1 MiB."""
MAX_BODY = MAX_PAYLOAD + 100
"""Bytes of a body that is kept; AWS's own emulator allows the same 100 beyond 6 MiB."""
MAX_DISCARDED = 64 * MiB
"""Bytes of a body too large that are read to the end, so that its sender reads our 413 and no connection reset."""
REMEMBERED = 2048
"""Bytes of header lines; longer ones are read anew each time."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
REASONS = {
    200: b"OK", 202: b"Accepted", 400: b"Bad Request", 403: b"Forbidden", 404: b"Not Found", 405: b"Method Not Allowed",
    409: b"Conflict", 413: b"Content Too Large", 431: b"Request Header Fields Too Large", 500: b"Internal Server Error",
    503: b"Service Unavailable",
}  # fmt: skip


class BadRequest(Exception):
    """These bytes are no request we can answer and go on: say so and close. `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class Request:
    """Header names are lower case. `oversize`: the body was more than `MAX_BODY` and is left out. `trailers` came after
    a body in chunks."""

    method: bytes
    path: bytes
    headers: Mapping[bytes, bytes]
    body: bytes
    keep_alive: bool
    oversize: bool = False
    trailers: Mapping[bytes, bytes] | None = None


@dataclass(frozen=True, slots=True)
class Fields:
    """What the header lines of one head say. `length` is -1 where the body comes in chunks."""

    headers: Mapping[bytes, bytes]
    connection: bytes
    length: int
    expects: bool


class Parser:
    """Feed it what arrives, ask for requests until it has none."""

    __slots__ = ("_body", "_buffer", "_discarded", "_head", "_left", "_searched", "continue_wanted")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._head: Request | None = None
        self._left = -1
        """Bytes of body still to come; -1: chunked."""
        self._body: bytearray | None = None
        """Chunks so far; None: the body has a length."""
        self._discarded = 0
        self.continue_wanted = False
        """The client waits for `100 Continue` before it sends the body."""

    @property
    def held(self) -> int:
        """Bytes of requests that are not whole yet, or whose turn has not come."""
        return len(self._buffer) + (len(self._body) if self._body is not None and self._head is not None else 0)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> Request | None:
        """The next whole request, or None: more bytes are needed. Errors: `BadRequest`."""
        if self._head is None and (not self._buffer or not self._read_head()):
            return None
        whole = self._read_length() if self._body is None else self._read_chunks()
        if not whole:
            return None
        request, self._head, self.continue_wanted = self._head, None, False
        return request

    def _read_head(self) -> bool:
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        if end < 0:
            self._searched = len(buffer)
            if len(buffer) > MAX_HEAD:
                raise BadRequest(431, f"more than {MAX_HEAD} bytes of headers")
            return False
        if end > MAX_HEAD:
            raise BadRequest(431, f"more than {MAX_HEAD} bytes of headers")
        head = bytes(buffer[:end])
        del buffer[: end + 4]
        self._searched = 0
        self._discarded = 0
        self._open(head)
        return True

    def _open(self, head: bytes) -> None:
        first, _, lines = head.lstrip(b"\r\n").partition(b"\r\n")
        words = first.split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            raise BadRequest(400, "this is not HTTP/1.1")
        fields = _remembered(lines) if len(lines) <= REMEMBERED else _fields(lines)
        keep_alive = fields.connection == b"keep-alive" if words[2] == b"HTTP/1.0" else fields.connection != b"close"
        self._head = Request(words[0], words[1], fields.headers, b"", keep_alive)
        self._left = fields.length
        self._body = bytearray() if fields.length < 0 else None
        self.continue_wanted = fields.expects

    def _read_length(self) -> bool:
        """A body with a length is in the buffer, whole, or is being thrown away."""
        assert self._head is not None
        if self._left > MAX_BODY or self._head.oversize:
            self._head.oversize = True
            self._discard(self._left)
            return self._left == 0
        if len(self._buffer) < self._left:
            return False
        if self._left:
            self._head.body = bytes(memoryview(self._buffer)[: self._left])
            del self._buffer[: self._left]
        return True

    def _discard(self, most: int) -> int:
        """Throw away what is there, at most `most` bytes; how many. Errors: 413, when it never ends."""
        gone = min(most, len(self._buffer))
        del self._buffer[:gone]
        self._left -= gone
        self._discarded += gone
        if self._discarded + max(0, self._left) > MAX_DISCARDED:
            raise BadRequest(413, f"a body may have {MAX_PAYLOAD} bytes")
        return gone

    def _read_chunks(self) -> bool:
        """RFC 9112, 7.1. `_left` is what is left of the chunk with its line end, or -1 before a chunk's size line."""
        assert self._head is not None
        assert self._body is not None
        buffer = self._buffer
        while True:
            if self._left < 0:
                line_end = buffer.find(b"\r\n")
                if line_end < 0:
                    if len(buffer) > 4096:
                        raise BadRequest(400, "a chunk has no size")
                    return False
                size = self._size(bytes(buffer[:line_end]))
                if size == 0:
                    return self._read_trailers(line_end)
                del buffer[: line_end + 2]
                self._left = size + 2
            if not self._read_chunk():
                return False

    def _size(self, line: bytes) -> int:
        digits = line.partition(b";")[0].strip()
        if not digits or len(digits) > 8 or digits.strip(b"0123456789abcdefABCDEF"):
            raise BadRequest(400, "a chunk has no size")
        return int(digits, 16)

    def _read_chunk(self) -> bool:
        assert self._head is not None
        assert self._body is not None
        if self._head.oversize or len(self._body) + self._left - 2 > MAX_BODY:
            self._head.oversize = True
            self._body.clear()
            self._discard(self._left)
        elif len(self._buffer) < self._left:
            return False
        else:
            self._body += memoryview(self._buffer)[: self._left - 2]
            if self._buffer[self._left - 2 : self._left] != b"\r\n":
                raise BadRequest(400, "a chunk is longer than it says")
            del self._buffer[: self._left]
            self._left = 0
        if self._left:
            return False
        self._left = -1
        return True

    def _read_trailers(self, line_end: int) -> bool:
        """After the last chunk: trailer fields and an empty line. Clients tell there that a streamed answer broke off."""
        assert self._head is not None
        assert self._body is not None
        start = line_end + 2
        if self._buffer[start : start + 2] == b"\r\n":
            end = start
        else:
            found = self._buffer.find(b"\r\n\r\n", start)
            if found < 0:
                if len(self._buffer) > MAX_HEAD:
                    raise BadRequest(431, "too many trailer fields")
                return False
            self._head.trailers = _named(bytes(self._buffer[start:found]))
            end = found + 2
        del self._buffer[: end + 2]
        self._head.body = bytes(self._body)
        return True


def _named(lines: bytes) -> dict[bytes, bytes]:
    """Field lines (RFC 9112, 5) by lower-case name. Errors: `BadRequest`."""
    fields: dict[bytes, bytes] = {}
    for line in lines.split(b"\r\n") if lines else ():
        name, colon, value = line.partition(b":")
        name = name.lower()
        if not colon or not name or name[-1:].isspace() or name[:1].isspace():
            raise BadRequest(400, "a header line is malformed")
        if name in fields and name in (b"content-length", b"transfer-encoding", b"host"):
            raise BadRequest(400, f"two {name.decode()} headers")
        fields[name] = value.strip()
    return fields


def _fields(lines: bytes) -> Fields:
    """All lines of a head but the first. Errors: `BadRequest`."""
    headers = _named(lines)
    length, coding = headers.get(b"content-length"), headers.get(b"transfer-encoding")
    if coding is not None and (length is not None or coding.lower() != b"chunked"):
        raise BadRequest(400, "a body is either chunked or has a length")
    if length is not None and (not length.isdigit() or len(length) > 12):
        raise BadRequest(400, "the content length is no number")
    expects = headers.get(b"expect", b"").lower() == b"100-continue"
    size = -1 if coding is not None else int(length or 0)
    return Fields(headers, headers.get(b"connection", b"").lower(), size, expects)


_remembered = lru_cache(256)(_fields)
"""A client says the same with each request but for the first line: reading that once saves half of all parsing."""


def response(status: int, body: bytes, *, headers: bytes = b"", keep_alive: bool = True) -> bytes:
    """A whole answer as one piece of bytes, so that it goes out in one write (two cost 40 ms: Nagle, delayed ACK).

    `headers` are further header lines, each with its line end. Content-Type is always there: `awslambdaric` crashes
    without.
    """
    return b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b%b\r\n%b" % (
        status,
        REASONS[status],
        len(body),
        headers,
        b"" if keep_alive else b"Connection: close\r\n",
        body,
    )
