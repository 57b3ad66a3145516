"""Simulated boards' connections: one MQTT client per board, all served by one thread.

Enters: an owner per connection (its client id, Will, filters, and what to call). Leaves: publications, with QoS 1.
Guarantee: none, and none is needed: what was not acknowledged by the agent the board sends again. So every connection
is a fresh client with a clean session, and nothing is carried over a broken one; publishing while there is no
connection does nothing. No paho exception leaves this module. Not chosen: paho's thread per client and its own
reconnect, which would replay what it had queued before the board does.
"""

from __future__ import annotations

import contextlib
import heapq
import selectors
import socket
import threading
import time
from itertools import count

from edge_agent.adapters.board_paho.link import BoardLink, Owner

__all__ = ["BoardLink", "BoardLinks", "Owner"]


class BoardLinks:
    """Connections to one broker. `links(owner)` opens one and keeps it open; any thread may call."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        username: str | None = None,
        password: str | None = None,
        tls_ca: str | None = None,
        v5: bool = True,
        keepalive: int = 30,
    ) -> None:
        self.address = (host, port)
        self.credentials = (username, password)
        self.tls_ca = tls_ca
        self.v5 = v5
        self.keepalive = keepalive
        self.selector: selectors.BaseSelector = selectors.DefaultSelector()
        self._wake_out, self._wake_in = socket.socketpair()
        for end in (self._wake_out, self._wake_in):
            end.setblocking(False)
        self.selector.register(self._wake_in, selectors.EVENT_READ, None)
        self._lock = threading.Lock()
        self._busy: set[BoardLink] = set()
        self._open: set[BoardLink] = set()
        self._retries: list[tuple[float, int, BoardLink]] = []
        self._order = count()
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="board-links", daemon=True)
        self._thread.start()

    def __call__(self, owner: Owner) -> BoardLink:
        """Begin to connect; returns at once."""
        link = BoardLink(self, owner)
        with self._lock:
            self._open.add(link)
        self.retry(link, 0.0)
        return link

    def close(self, timeout: float = 5.0) -> None:
        """Say goodbye on every connection and end."""
        self._closing = True
        with self._lock:
            links = list(self._open)
        for link in links:
            link.close()
        self.wake()
        self._thread.join(timeout)

    # -- for links

    def attend(self, link: BoardLink) -> None:
        """Have the serving thread look at `link` soon."""
        with self._lock:
            self._busy.add(link)
        if threading.current_thread() is not self._thread:
            self.wake()

    def retry(self, link: BoardLink, delay: float) -> None:
        with self._lock:
            heapq.heappush(self._retries, (time.monotonic() + delay, next(self._order), link))
        self.wake()

    def gone(self, link: BoardLink) -> None:
        with self._lock:
            self._open.discard(link)

    def wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            self._wake_out.send(b"\0")

    # -- the serving thread

    def _serve(self) -> None:
        next_beat = 0.0
        while self._open or not self._closing:
            with self._lock:
                due = 0.0 if self._busy else self._retries[0][0] if self._retries else next_beat
            for key, events in self.selector.select(max(0.0, min(due, next_beat) - time.monotonic())):
                if key.data is None:
                    with contextlib.suppress(BlockingIOError):
                        self._wake_in.recv(4096)
                else:
                    key.data.transfer(reading=bool(events & selectors.EVENT_READ))
            now = time.monotonic()
            for link in self._take_work(now):
                link.work()
            if now >= next_beat:
                next_beat = now + 1.0
                for link in list(self._open):
                    link.beat()
        self.selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def _take_work(self, now: float) -> set[BoardLink]:
        with self._lock:
            work, self._busy = self._busy, set()
            while self._retries and self._retries[0][0] <= now:
                link = heapq.heappop(self._retries)[2]
                link.may_connect = True
                work.add(link)
        return work
