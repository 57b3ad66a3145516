"""The agent's end of the keeper: orders go in, words come out, and when it dies another one takes its place.

Guarantee: never blocks the loop; an order is sent whole, in order, or the keeper is lost, and that is said.
"""

from __future__ import annotations

import contextlib
import logging
import marshal
import os
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from edge_agent.adapters.run_process.keeper import MOST
from edge_agent.adapters.run_process.process import Message
from edge_agent.engine.functions.loop import READ, WRITE, Loop
from edge_agent.errors import Unavailable

log = logging.getLogger(__name__)

REST = 1.0
"""Seconds between two keepers."""
BUFFER = 1024 * 1024
_BEGIN = (
    f"import sys; sys.path.insert(0, {str(Path(__file__).parents[3])!r}); from {__package__}.keeper import main; main()"
)


class Launcher:
    """Lives on the loop's thread. `heard` gets each message; `lost` is called when the keeper has died."""

    def __init__(
        self, loop: Loop, words: list[str], heard: Callable[[Message], None], lost: Callable[[], None]
    ) -> None:
        """`words`: see `keeper.main`."""
        self._loop = loop
        self._words = words
        self._heard = heard
        self._lost = lost
        self._unsent: deque[tuple[bytes, int]] = deque()
        self._again = loop.alarm(self._begin)
        self._begun = 0.0
        self._sock: socket.socket | None = None
        self._begin()

    @property
    def pid(self) -> int:
        """Of the keeper."""
        return self._process.pid

    def _begin(self) -> None:
        self._begun = time.monotonic()
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        mine.setblocking(False)
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BEGIN, str(its.fileno()), *self._words],
                stdin=subprocess.DEVNULL,
                env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
                cwd="/",
                pass_fds=[its.fileno()],
                start_new_session=True,
            )
        self._sock = mine
        self._loop.watch(mine.fileno(), self._ready)

    def send(self, message: Message, fd: int = -1) -> None:
        """Takes `fd` over. Errors: `Unavailable`, before anything is sent."""
        data = marshal.dumps(message)
        if self._sock is None or len(data) > MOST:
            if fd >= 0:
                os.close(fd)
            raise Unavailable(
                "the process that starts workers is being replaced"
                if self._sock is None
                else f"its command and environment have more than {MOST} bytes"
            )
        self._unsent.append((data, fd))
        if len(self._unsent) == 1:
            self._flush()

    def _flush(self) -> None:
        assert self._sock is not None
        while self._unsent:
            data, fd = self._unsent[0]
            try:
                socket.send_fds(self._sock, [data], [fd] if fd >= 0 else [])
            except BlockingIOError:
                self._loop.rewatch(self._sock.fileno(), READ | WRITE)
                return
            except OSError:  # reading finds it gone
                return
            self._unsent.popleft()
            if fd >= 0:
                os.close(fd)
            if not self._unsent:
                self._loop.rewatch(self._sock.fileno(), READ)

    def _ready(self, mask: int) -> None:
        assert self._sock is not None
        if mask & WRITE:
            self._flush()
        for _ in range(64):
            try:
                data = self._sock.recv(MOST)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._gone()
                return
            self._take(data)

    def _take(self, data: bytes) -> None:
        self._heard(marshal.loads(data))  # noqa: S302 - our own keeper's

    def _gone(self) -> None:
        self._hang_up()
        code = self._process.wait()
        log.warning(
            "the process that starts workers ended (%s); its workers are ended, and another one is started", code
        )
        self._again.no_later_than(max(time.monotonic(), self._begun + REST))
        self._lost()

    def _hang_up(self) -> None:
        if self._sock is not None:
            self._loop.unwatch(self._sock.fileno())
            self._sock.close()
            self._sock = None
        for _, fd in self._unsent:
            if fd >= 0:
                os.close(fd)
        self._unsent.clear()

    def close(self, timeout: float) -> None:
        """Have everything ended and removed, and hear the last words."""
        if self._sock is not None:
            sock = self._sock
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
            until = time.monotonic() + timeout
            while (left := until - time.monotonic()) > 0 and select.select([sock], [], [], left)[0]:
                try:
                    data = sock.recv(MOST)
                except OSError:
                    break
                if not data:
                    break
                self._take(data)
            self._hang_up()
        self._again.set(float("inf"))
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
