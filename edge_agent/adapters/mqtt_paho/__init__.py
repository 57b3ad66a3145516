"""The broker, seen from the agent. The only package (with the simulated boards' `board_paho`) that imports paho.

Enters: PUBLISH packets. Leaves: batches for the pipeline, each with the means to acknowledge it; what the agent publishes.
Guarantee: a PUBACK goes out only when `acknowledge` is called, on the connection its message came by, in the order of
arrival; a message that is not acknowledged comes again when the session resumes (MQTT 5, 4.4). Never QoS 2: paho answers
PUBREC before the application has seen the message.
"""

from __future__ import annotations

import logging
import os
import random
import select
import ssl
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from edge_agent.adapters.mqtt_paho import receive
from edge_agent.adapters.mqtt_paho.library import paho
from edge_agent.adapters.mqtt_paho.options import BrokerOptions, session_terms, tls_context
from edge_agent.adapters.mqtt_paho.pace import Pace
from edge_agent.adapters.mqtt_paho.packets import Publish
from edge_agent.adapters.mqtt_paho.standing import Standing
from edge_agent.domain.message import Message
from edge_agent.errors import Unavailable
from edge_agent.ports import Batch, Clock, Promises

__all__ = ["BrokerOptions", "PahoBroker"]

log = logging.getLogger(__name__)

RETRY_FIRST, RETRY_MOST = 0.5, 30.0
"""Seconds between attempts to connect: doubled each time up to the most, then jittered down to half, so that a shelf of
clients does not come back in step after a power cut."""
QUEUED_MOST = 10_000
"""Our own QoS 1 publications waiting for the broker; beyond it `publish` refuses."""
BUFFERED_MOST = 50_000
"""Messages taken and not yet acknowledged; beyond it the socket is left unread and TCP holds the broker back."""


Safe = tuple[int, list[bytes], Promises, Any]
"""A batch that is on disk: messages, packet identifiers, promises, the socket it came by."""


class PahoBroker:
    """One connection, kept for ever by a thread of its own.

    `take(batch)` is called on that thread with what came; `on_session(present)` after each connection, once the
    subscriptions stand (False: the broker knew nothing of us, so retained topics must be published anew).
    """

    def __init__(
        self,
        options: BrokerOptions,
        filters: Sequence[str],
        clock: Clock,
        *,
        take: Callable[[Batch], None],
        on_session: Callable[[bool], None] = lambda present: None,
        will: tuple[str, bytes] | None = None,
    ) -> None:
        self._options = options
        self.standing = Standing(filters, options.v5)
        self._clock = clock
        self._take = take
        self._on_session = on_session
        self._stopping = threading.Event()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self._thens: dict[int, Callable[[], None]] = {}
        self._accepted = False
        self._pace = Pace()
        self._safe: deque[Safe] = deque()
        self._topics: dict[bytes, str] = {}
        self.taken = 0
        self.acknowledged = 0
        self.connected_since = 0
        self.changed_at = clock()
        """When the connection last came or went, epoch ms."""
        self.last_received = 0
        self.last_error = ""
        self.sessions_lost = 0
        self.paused = 0
        self._client = self._make_client(will)
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)

    # -- for the application

    def start(self) -> None:
        self._thread.start()

    @property
    def connected(self) -> bool:
        return self.connected_since > 0

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, then: Callable[[], None] | None = None
    ) -> None:
        """Queue a message; `then` is called once the broker has acknowledged it. Errors: `Unavailable` (queue full)."""
        if qos and len(self._thens) >= QUEUED_MOST:
            raise Unavailable("the broker is away and the queue of messages for it is full")
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            raise Unavailable("the broker is away and the queue of messages for it is full")
        if then is not None:
            self._thens[info.mid] = then
            if (
                info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS and info.is_published()
            ):  # the answer may have come before we could say what to do with it
                self._published(None, None, info.mid, None, None)
        self._wake_up()

    def subscribe(self, filters: Sequence[str], gone: Sequence[str] = ()) -> None:
        """From now on these Topic Filters, now and after each reconnect; `gone`: those the session may hold no longer."""
        self.standing.change(self._client, filters, gone, connected=self.connected)
        self._wake_up()

    def stop(self, farewell: tuple[str, bytes] | None = None) -> None:
        """Say goodbye (so that the Will is not sent) and end."""
        if farewell is not None and self.connected:
            said = threading.Event()
            self.publish(*farewell, retain=True, then=said.set)
            said.wait(2.0)
        self._stopping.set()
        self._wake_up()
        if self._thread.is_alive():
            self._thread.join(10.0)

    # -- the client

    def _make_client(self, will: tuple[str, bytes] | None) -> Any:
        options = self._options
        missing = receive.supported() if options.fast else "switched off by mqtt.fast"
        if missing:
            log.warning("using paho's own receive path, which is several times slower: %s", missing)
        make: Any = receive.Stock if missing else receive.Fast
        session = {} if options.v5 else {"clean_session": False}
        client = make(
            CallbackAPIVersion.VERSION2,
            client_id=options.client_id,
            protocol=paho.MQTTv5 if options.v5 else paho.MQTTv311,
            manual_ack=True,
            reconnect_on_failure=False,
            **session,
        )
        client.taken, client.sieve = self._taken, self.standing.sieve
        client.max_queued_messages_set(QUEUED_MOST)
        client.max_inflight_messages_set(200)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_publish = self._published
        client.on_subscribe = self.standing.subscribed
        client.on_unsubscribe = self.standing.unsubscribed
        client.on_socket_register_write = lambda client, userdata, sock: self._wake_up()
        if options.username:
            client.username_pw_set(options.username, options.password)
        if options.tls or options.tls_ca:
            client.tls_set_context(tls_context(options))
        if will is not None:
            client.will_set(*will, qos=1, retain=True)
        return client

    def _wake_up(self) -> None:
        if threading.get_ident() != self._thread.ident:  # else it is awake
            os.eventfd_write(self._wake, 1)

    # -- the thread

    def _run(self) -> None:
        delay = RETRY_FIRST
        while not self._stopping.is_set():
            self._accepted = False
            try:
                self._connect()
                self._serve()
            except (OSError, ssl.SSLError, ValueError) as error:
                self._trouble(str(error))
            except Exception as defect:  # whatever it is, a thread that ends would be a deaf agent
                log.exception("the connection to the broker failed by a defect of ours; it is made anew")
                self._trouble(repr(defect))
            self.connected_since = 0
            if self._accepted:
                delay = RETRY_FIRST
            if not self._stopping.is_set():
                self._stopping.wait(delay * random.uniform(0.5, 1.0))
                delay = min(RETRY_MOST, delay * 2)
        self._client.disconnect()
        self._client.loop_write()
        self.connected_since = 0

    def _trouble(self, why: str) -> None:
        if why != self.last_error:
            self.last_error = why
            log.warning("no connection to the broker at %s:%d: %s", self._options.host, self._options.port, why)

    def _connect(self) -> None:
        options = self._options
        self._client.connect(options.host, options.port, options.keepalive, **session_terms(options))

    def _serve(self) -> None:
        """Read, write and keep alive until the connection ends."""
        client, poll = self._client, select.poll()
        sock = client.socket()
        poll.register(self._wake, select.POLLIN)
        while not self._stopping.is_set() and client.socket() is sock and sock is not None:
            reading = select.POLLIN if self.taken - self.acknowledged < BUFFERED_MOST else 0
            self.paused += not reading
            poll.register(sock, reading | (select.POLLOUT if client.want_write() else 0))
            ready = dict(poll.poll(0 if sock_pending(sock) else 500))
            if self._wake in ready:
                os.eventfd_read(self._wake)
                self._acknowledge()
            events = ready.get(sock.fileno(), 0)
            if events & ~select.POLLOUT or sock_pending(sock):
                client.loop_read()
                while client.socket() is sock and sock_pending(sock):
                    client.loop_read()
                self._pace.rest()
            if client.want_write():
                client.loop_write()
            client.loop_misc()

    def _taken(self, published: list[Publish], origin: Any) -> None:
        now = self._clock()
        names = self._topics
        messages = []
        for _, topic, payload, retained in published:
            if not topic:  # one more copy
                continue
            name = names.get(topic)
            if name is None:
                name = self._name(topic)
            messages.append(Message(name, payload, now, retained))
        mids = [mid for mid, _, _, _ in published if mid]
        self._pace.took(len(published))
        self.last_received = now
        self.taken += len(published)

        def acknowledge(promises: Promises) -> None:
            self._safe.append((len(published), mids, promises, origin))
            if len(self._safe) == 1:
                self._wake_up()

        self._take(Batch(messages, acknowledge))

    def _acknowledge(self) -> None:
        """Answer every batch that is safe by now: one commit has many, and a later promise says all that an earlier did."""
        count, mids, promised, last = 0, list[bytes](), Promises(), None
        while self._safe:
            taken, some, promises, origin = self._safe.popleft()
            if origin is not last:
                self._client.acknowledge(mids, promised, last)
                mids, promised, last = [], {}, origin
            count += taken
            mids += some
            promised.update(promises)
        self._client.acknowledge(mids, promised, last)
        self.acknowledged += count

    def _name(self, topic: bytes) -> str:
        if len(self._topics) > 20_000:
            self._topics.clear()
        name = self._topics[topic] = topic.decode("utf-8", "replace")
        return name

    # -- what the broker says

    def _connected(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._trouble(f"the broker refused us: {reason}")
            return
        self._accepted = True
        self.last_error = ""
        self.connected_since = self.changed_at = self._clock()
        if not flags.session_present:
            self.sessions_lost += 1
        log.info("connected to the broker at %s:%d", self._options.host, self._options.port)
        self.standing.stand(client)
        self._on_session(bool(flags.session_present))

    def _disconnected(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        self.connected_since = 0
        self.changed_at = self._clock()
        if self._accepted and not self._stopping.is_set():
            self._trouble(f"the connection was lost: {reason}")

    def _published(self, client: Any, userdata: Any, mid: int, reason: Any, properties: Any) -> None:
        then = self._thens.pop(mid, None)
        if then is not None:
            then()


def sock_pending(sock: Any) -> bool:
    """Whether bytes wait that `poll` cannot see: in the demultiplexer, or decrypted in the TLS layer."""
    pending = getattr(sock, "pending", None)
    return pending is not None and pending() > 0
