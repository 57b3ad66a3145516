"""One simulated board's connection: a fresh paho client with a clean session each time, never paho's own reconnect."""

from __future__ import annotations

import contextlib
import logging
import random
import selectors
import socket
from collections.abc import Sequence
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


class Links(Protocol):
    """What a link needs of those that serve it; `BoardLinks`."""

    address: tuple[str, int]
    credentials: tuple[str | None, str | None]
    tls_ca: str | None
    v5: bool
    keepalive: int
    selector: selectors.BaseSelector

    def attend(self, link: BoardLink) -> None: ...
    def retry(self, link: BoardLink, delay: float) -> None: ...
    def gone(self, link: BoardLink) -> None: ...
    def wake(self) -> None: ...


class BoardLink:
    """One board's connection. `publish` and `close` may be called by any thread."""

    def __init__(self, links: Links, owner: Owner) -> None:
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
