"""What the broker hands over, before anyone has looked inside."""

from __future__ import annotations

import msgspec

MAX_PAYLOAD = 64 * 1024
"""Bytes; a longer message is rejected as `oversize`. A board's batch after an outage fits many times over."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """One Application Message (MQTT 5, 3.3) as it was received.

    `received` is epoch milliseconds on the agent's clock; `retained` is the RETAIN flag, set only on messages that the
    broker had kept for a new subscription: these never trigger rules.
    """

    topic: str
    payload: bytes
    received: int
    retained: bool = False


class Rejected(msgspec.Struct, frozen=True):
    """A message that is no reading: recorded with its reason, acknowledged, never redelivered.

    `reason` is one short word for the metric's label (`not-json`, `bad-utf8`, `oversize`, ...), `detail` says where and
    what, `payload` is the beginning of the message (at most 512 bytes).
    """

    topic: str
    reason: str
    detail: str
    payload: bytes
    received: int
