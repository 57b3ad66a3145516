"""Subscriptions that stand: the Topic Filters the broker is to know for us, whatever becomes of connection and session.

Enters: what is wanted, and what no longer is (the broker's session may hold it from before). Leaves: SUBSCRIBE and
UNSUBSCRIBE packets, at each connection anew, and what the broker said to them.
Guarantee: what is new is subscribed before what is gone is taken back, so no message falls between two filters that share
it; in that instant the broker may send one twice. Otherwise each message is taken once, however many filters match
(`sieve`).
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_agent.adapters.mqtt_paho.sieve import Sieve, crossing

Told = Callable[[Sequence[str]], None]


class Standing:
    """Any thread. `on_refused` and `on_gone` are called on the connection's thread with Topic Filters; the first is also
    told when none is refused."""

    def __init__(self, filters: Sequence[str], v5: bool) -> None:
        self.on_refused: Told = lambda filters: None
        self.on_gone: Told = lambda filters: None
        self.sieve = Sieve()
        self._filters = tuple(filters)
        self._gone: tuple[str, ...] = ()
        self._v5 = v5
        self._numbers = itertools.count(1)
        self._identifiers = self._number()
        self._lock = threading.Lock()
        self._asked: dict[int, tuple[str, ...]] = {}
        self._refused: set[str] = set()

    def change(self, client: Any, filters: Sequence[str], gone: Sequence[str], *, connected: bool) -> None:
        """From now on these; without a connection, from the next one on."""
        with self._lock:
            known = {name: self._identifiers.get(name) for name in self._filters}
            self._filters, self._gone = tuple(filters), tuple(gone)
            self._identifiers = self._number(known)
            new = tuple(name for name in filters if known.get(name, 0) != self._identifiers.get(name))
            self._refused &= set(filters)
            if connected:
                self._subscribe(client, new)
                self._unsubscribe(client, self._gone)

    def stand(self, client: Any) -> None:
        """A connection was made."""
        with self._lock:
            self._asked.clear()
            self._refused.clear()
            self._subscribe(client, self._filters)
            self._unsubscribe(client, self._gone)

    def subscribed(self, client: Any, userdata: Any, mid: int, reasons: Any, properties: Any) -> None:
        """paho's `on_subscribe`: SUBACK has a Reason Code for each filter, in their order (3.9.3)."""
        self.sieve.clear()
        with self._lock:
            for name, reason in zip(self._asked.pop(mid, ()), reasons, strict=False):
                if reason.is_failure and name in self._filters:
                    self._refused.add(name)
            refused = sorted(self._refused)
        self.on_refused(refused)

    def unsubscribed(self, client: Any, userdata: Any, mid: int, reasons: Any, properties: Any) -> None:
        """paho's `on_unsubscribe`."""
        self.sieve.clear()
        with self._lock:
            gone = [name for name in self._asked.pop(mid, ()) if name not in self._filters]
            self._gone = tuple(name for name in self._gone if name not in gone)
        self.on_gone(gone)

    def _number(self, known: Mapping[str, int | None] = MappingProxyType({})) -> dict[str, int]:
        """A Subscription Identifier for each filter that crosses another one."""
        crossed = crossing(self._filters) if self._v5 else []
        return {name: known.get(name) or next(self._numbers) for name in crossed}

    def _subscribe(self, client: Any, names: tuple[str, ...]) -> None:
        if not self._v5:
            self._ask(client, names, lambda name: (name, 1), None)
            return
        # Retain Handling 1 (3.8.3.1): what is retained comes once, not again with every reconnect. Retain As Published
        # off: RETAIN then says "kept for a new subscription" and nothing else, and such a message triggers nothing.
        options = SubscribeOptions(qos=1, retainAsPublished=False, retainHandling=1)
        plain = tuple(name for name in names if name not in self._identifiers)
        self._ask(client, plain, lambda name: (name, options), None)
        for name in names:
            if identifier := self._identifiers.get(name):  # one for each packet (3.8.2.1.2)
                properties: Any = Properties(PacketTypes.SUBSCRIBE)  # type: ignore[no-untyped-call]
                properties.SubscriptionIdentifier = identifier
                self._ask(client, (name,), lambda name: (name, options), properties)

    def _ask(self, client: Any, names: tuple[str, ...], entry: Callable[[str], Any], properties: Any) -> None:
        if names:
            _, mid = client.subscribe([entry(name) for name in names], properties=properties)
            self._asked[mid] = names

    def _unsubscribe(self, client: Any, names: tuple[str, ...]) -> None:
        if names:
            _, mid = client.unsubscribe(list(names))
            self._asked[mid] = names
