"""The publisher endpoint: readings that come by HTTP go through the broker like everybody's, and are answered for.

Enters: a body as boards send it, `boot` and `seq` optional. Leaves: what was stored, once the journal has it on disk.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import secrets
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec

from edge_agent.app.parts import Parts
from edge_agent.decode import Decode
from edge_agent.domain.message import Message, Rejected
from edge_agent.domain.reading import Sample
from edge_agent.domain.topics import is_name
from edge_agent.engine.waiters import Key
from edge_agent.errors import Fault, Invalid, Unavailable


class Ingest:
    """Thread-safe. `boot` of what comes without one is this start's own, or follows from the idempotency key."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._decode = Decode(parts.settings.site, ["native"], boot=parts.boot)
        self._lock = threading.Lock()
        self._boot = f"http-{secrets.token_hex(8)}"
        self._numbers: dict[str, Iterator[int]] = defaultdict(lambda: itertools.count(1))

    def __call__(self, device: str, body: bytes, idempotency_key: str, timeout: float) -> dict[str, Any]:
        """Errors: `Invalid` (every fault), `Unavailable` (broker or disk away; nothing was promised, so send it again)."""
        if not is_name(device):
            raise Invalid([Fault("body", 1, 1, "device", f"{device!r} is no name", "use 1-63 of a-z, 0-9 and -")])
        many, elements = self._numbered(device, body, idempotency_key)
        kind = self._parts.topics.batch(device) if many else self._parts.topics.readings(device)
        payload = msgspec.json.encode(elements if many else elements[0])
        keys = self._check(kind, payload)
        if not self._parts.broker.connected:
            raise Unavailable("the broker is away; nothing was stored, send it again", delay=2.0)
        with self._parts.waiters.expect(keys) as expected:
            self._parts.broker.publish(kind, payload)
            if not expected.wait(timeout):
                raise Unavailable(
                    "the reading is not on disk yet (broker or disk is slow or away); send it again, it is stored once",
                    delay=2.0,
                )
        device, boot, seq = keys[-1]
        return {"device": device, "boot": boot, "seq": seq, "stored": len(keys)}

    def _numbered(self, device: str, body: bytes, idempotency_key: str) -> tuple[bool, list[Any]]:
        try:
            tree = json.loads(body, object_pairs_hook=_no_twice, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise Invalid([Fault("body", 1, 1, "body", f"is not JSON: {error}")]) from error
        many = isinstance(tree, list)
        elements = tree if many else [tree]
        for number, element in enumerate(elements, 1):
            if isinstance(element, dict) and "boot" not in element and "seq" not in element:
                if idempotency_key:
                    digest = hashlib.blake2b(f"{device}\n{idempotency_key}".encode(), digest_size=12).hexdigest()
                    element["boot"], element["seq"] = f"key-{digest}", number
                else:
                    with self._lock:
                        element["boot"], element["seq"] = self._boot, next(self._numbers[device])
        return many, elements

    def _check(self, topic: str, payload: bytes) -> list[Key]:
        with self._lock:
            decoded = self._decode(Message(topic, payload, self._parts.clock()))
        faults = [Fault("body", 1, 1, item.reason, item.detail) for item in decoded if isinstance(item, Rejected)]
        if faults or not decoded:
            raise Invalid(faults or [Fault("body", 1, 1, "readings", "there are none")])
        return [(item.device, item.boot, item.seq) for item in decoded if isinstance(item, Sample)]


def _no_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no number in JSON")
