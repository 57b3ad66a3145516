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
import logging
import random
import selectors
import socket
import threading
import time
from collections.abc import Sequence
from itertools import count
from typing import Any, Protocol

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

log = logging.getLogger(__name__)

RETRY_FIRST, RETRY_MOST = 0.2, 5.0
"""Seconds between attempts to connect: doubled each time, jittered down to half."""
CONNECT_TIMEOUT = 2.0
"""Seconds; while one board connects, the others of this process wait."""
UNREGISTERED = -1


class Owner(Protocol):
    """Whose connection it is. All is called on the thread that serves the connections; it must not block.

    `will` is a (topic, payload) the broker publishes, retained, when the connection breaks.
    """

    client_id: str
    will: tuple[str, bytes] | None
    filters: Sequence[str]

    def opened(self) -> None:
        """Connected, and subscribed to `filters`."""

    def closed(self) -> None:
        """No longer connected; it is tried again."""

    def received(self, topic: str, payload: bytes) -> None:
        """A message came."""


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
        self.selector = selectors.DefaultSelector()
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


class BoardLink:
    """One board's connection. `publish` and `close` may be called by any thread."""

    def __init__(self, links: BoardLinks, owner: Owner) -> None:
        self.problem = ""
        """Why there is no connection, in the broker's or the system's words."""
        self.may_connect = False
        self._links = links
        self._owner = owner
        self._client: paho.Client | None = None
        self._connected = False
        self._closing = False
        self._said_goodbye = False
        self._refusal = ""
        self._delay = RETRY_FIRST
        self._registered: Any = UNREGISTERED

    @property
    def connected(self) -> bool:
        return self._connected

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1) -> None:
        """Publish, or do nothing when there is no connection. QoS 0 does not wait behind what is in flight."""
        client = self._client
        if client is not None and self._connected:
            client.publish(topic, payload, qos=qos, retain=retain)
            self._links.attend(self)

    def close(self) -> None:
        """Disconnect (no Will) after what is queued; returns at once."""
        self._closing = True
        self._links.attend(self)

    # -- on the serving thread

    def work(self) -> None:
        """Connect if it is time to; write what is queued."""
        if self._closing:
            self._say_goodbye()
        elif self.may_connect and self._client is None:
            self._connect()
        self.may_connect = False
        self.transfer(reading=False)

    def transfer(self, *, reading: bool) -> None:
        client = self._client
        if client is None:
            return
        try:
            if reading:
                self._read(client)
            client.loop_write()
        except Exception:
            log.exception("the connection of %s failed", self._owner.client_id)
            self._lost(client, "failed")
            return
        self._register(client)

    def beat(self) -> None:
        """Once a second: keepalive."""
        if self._client is not None:
            self._client.loop_misc()
            self.transfer(reading=False)

    def _connect(self) -> None:
        links, owner = self._links, self._owner
        version = MQTTProtocolVersion.MQTTv5 if links.v5 else MQTTProtocolVersion.MQTTv311
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            owner.client_id,
            clean_session=None if links.v5 else True,
            protocol=version,
            reconnect_on_failure=False,
        )
        username, password = links.credentials
        if username is not None:
            client.username_pw_set(username, password)
        if owner.will is not None:
            client.will_set(owner.will[0], owner.will[1], qos=1, retain=True)
        client.connect_timeout = CONNECT_TIMEOUT
        client.on_connect = self._on_connect
        client.on_disconnect = lambda client, _data, _flags, reason, _properties: self._lost(client, str(reason))
        client.on_message = lambda _client, _data, message: owner.received(message.topic, bytes(message.payload))
        client.on_socket_open = lambda _client, _data, sock: _unbuffered(sock)
        client.on_socket_close = lambda _client, _data, _sock: self._unregister()
        # Registered, this keeps paho from writing on the thread that publishes.
        client.on_socket_register_write = lambda _client, _data, _sock: links.attend(self)
        self._client = client
        try:
            if links.tls_ca:
                client.tls_set(ca_certs=links.tls_ca)
            if links.v5:
                client.connect(*links.address, keepalive=links.keepalive, clean_start=True)
            else:
                client.connect(*links.address, keepalive=links.keepalive)
        except (OSError, ValueError) as error:
            self._lost(client, str(error))

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._refusal = str(reason)
            return
        self.problem = ""
        self._delay = RETRY_FIRST
        if self._owner.filters:
            client.subscribe([(filter_, 1) for filter_ in self._owner.filters])
        self._connected = True
        self._owner.opened()

    def _lost(self, client: paho.Client, reason: str) -> None:
        if client is not self._client:
            return
        self._unregister()
        was_connected, self._connected, self._client = self._connected, False, None
        if was_connected:
            self._owner.closed()
        if self._closing:
            self._links.gone(self)
            return
        self.problem, self._refusal = self._refusal or reason, ""
        self._links.retry(self, self._delay * random.uniform(0.5, 1.0))
        self._delay = min(2 * self._delay, RETRY_MOST)

    def _say_goodbye(self) -> None:
        if self._client is None:
            self._links.gone(self)
        elif not self._said_goodbye:
            self._said_goodbye = True
            if self._client.disconnect() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._lost(self._client, "closed")

    def _read(self, client: paho.Client) -> None:
        client.loop_read()
        sock: Any = client.socket()
        while sock is not None and hasattr(sock, "pending") and sock.pending():  # TLS has bytes select() cannot see
            client.loop_read()
            sock = client.socket()

    def _register(self, client: paho.Client) -> None:
        sock = client.socket()
        if sock is None or client is not self._client:
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.want_write() else 0)
        if self._registered is UNREGISTERED:
            self._registered = sock
            self._links.selector.register(sock, events, self)
        else:
            self._links.selector.modify(self._registered, events, self)

    def _unregister(self) -> None:
        if self._registered is not UNREGISTERED:
            with contextlib.suppress(KeyError, ValueError):
                self._links.selector.unregister(self._registered)
            self._registered = UNREGISTERED


def _unbuffered(sock: Any) -> None:
    # Small packets both ways: Nagle and delayed acknowledgement would cost 40 ms each.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
