"""A receive path over paho's client that takes a whole read at once and acknowledges a batch with one write.

Stock paho reads single bytes and sends single PUBACKs, which is most of the time it spends (`make bench` has the figures).
Here a wrapper around its socket takes QoS 0 and 1 PUBLISH packets out of the stream, and paho sees the rest: CONNACK,
SUBACK, PINGRESP, PUBACK of what we publish. Leans on two private names of paho-mqtt 2.0 to 2.2, `_create_socket` and
`_packet_queue`; `supported()` says whether they are as expected, and `Stock` is what remains when they are not.
"""

from __future__ import annotations

import inspect
import socket
from collections.abc import Callable
from typing import Any

from edge_agent.adapters.mqtt_paho import packets
from edge_agent.adapters.mqtt_paho.library import paho
from edge_agent.adapters.mqtt_paho.packets import Publish
from edge_agent.adapters.mqtt_paho.sieve import Sieve
from edge_agent.ports import Promises

READ_SIZE = 262_144
"""Bytes; what one system call may take from the socket. Larger gains nothing."""

Taken = Callable[[list[Publish], Any], None]
"""Called with what one read brought, and the socket it came from: packet identifiers mean nothing on another one."""


def supported() -> str:
    """ "" when paho's private names are as the fast path needs them, else what is different."""
    client: Any = paho.Client
    try:
        queue = list(inspect.signature(client._packet_queue).parameters)
        create = list(inspect.signature(client._create_socket).parameters)
    except AttributeError as missing:
        return str(missing)
    if queue[:5] != ["self", "command", "packet", "mid", "qos"]:
        return f"_packet_queue takes {queue}"
    if create != ["self"]:
        return f"_create_socket takes {create}"
    return ""


class Demultiplexer:
    """Stands where paho expects its socket."""

    def __init__(self, sock: Any, v5: bool, taken: Taken, sieve: Sieve) -> None:
        self.sock = sock
        self._v5 = v5
        self._taken = taken
        self._repeats = sieve.repeats
        self._unfinished = b""
        self._for_paho = b""

    def recv(self, size: int) -> bytes:
        if not self._for_paho:
            data = self.sock.recv(READ_SIZE)
            if not data:
                return b""
            if self._unfinished:
                data = self._unfinished + data
            published: list[Publish] = []
            rest: list[bytes] = []
            try:
                used = packets.split(data, self._v5, published, rest, self._repeats)
            except packets.Malformed as error:
                raise ConnectionError(f"malformed packet from the broker: {error}") from error
            self._unfinished = data[used:]
            self._for_paho = b"".join(rest)
            if published:
                self._taken(published, self)
            if not self._for_paho:
                raise BlockingIOError
        part, self._for_paho = self._for_paho[:size], self._for_paho[size:]
        return part

    def pending(self) -> int:
        below = getattr(self.sock, "pending", None)
        return len(self._for_paho) + (below() if below is not None else 0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)


class Fast(paho.Client):
    """paho's client with the demultiplexer in front; `taken` and `sieve` must be set before it connects."""

    taken: Taken
    sieve: Sieve

    def _create_socket(self) -> Any:
        create: Any = super()._create_socket
        sock = create()
        # Without it an alert waits for the acknowledgement of the packet before it: 40 ms on Linux (delayed ACK).
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Demultiplexer(sock, self._protocol == paho.MQTTv5, self.taken, self.sieve)

    def acknowledge(self, mids: list[bytes], promises: Promises, origin: Any) -> None:
        """Send PUBACKs for `mids`, then `promises` at QoS 0, in one write; nothing when the connection is another one."""
        if self._sock is origin and (mids or promises):
            messages = ((topic, payload) for (topic, _), payload in promises.items())
            said = packets.publish_qos0(messages, self._protocol == paho.MQTTv5)
            self._packet_queue(0x40, packets.pubacks(mids) + said, 0, 0)


class Stock(paho.Client):
    """paho as it comes: a callback for each message, a PUBACK for each message."""

    taken: Taken
    sieve: Sieve

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_message = self._collect

    def _collect(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        mid = message.mid.to_bytes(2, "big") if message.qos else b""
        topic, payload = message.topic.encode(), bytes(message.payload)
        if self.sieve.again(topic, payload, getattr(message.properties, "SubscriptionIdentifier", ())):
            topic = payload = b""
        self.taken([(mid, topic, payload, message.retain)], self._sock)

    def acknowledge(self, mids: list[bytes], promises: Promises, origin: Any) -> None:
        if self._sock is not origin:
            return
        for mid in mids:
            self.ack(int.from_bytes(mid, "big"), 1)
        for (topic, _), payload in promises.items():
            self.publish(topic, payload)
