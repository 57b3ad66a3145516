"""What makes a message no reading: the reasons, and the limits behind them."""

from __future__ import annotations

from edge_agent.domain.message import Message, Rejected

REASONS = (
    "bad-topic",  # no dialect knows the topic
    "bad-name",  # a device or a reading is not named [a-z0-9-]{1,63}, or a boot not [0-9a-z-]{1,32}
    "oversize",  # more than 64 KiB
    "bad-utf8",
    "not-json",
    "duplicate-key",
    "too-deep",  # nested beyond MAX_DEPTH
    "bad-number",  # NaN, infinite, or an integer beyond 2**53
    "bad-time",  # `t` before 1970 or after 2099, `age` negative or beyond ten years
    "wrong-type",
    "missing-field",
    "no-readings",
    "too-many-readings",
    "too-long",  # a string of more than 256 characters
    "decoder-fault",  # a defect of ours, not of the message
)
"""Labels of `edge_messages_rejected_total{reason}`."""

MAX_DEPTH = 16
"""Nesting a message may have; ours needs 3, zigbee2mqtt's about 6."""
MAX_INTEGER = 2**53
"""Beyond it a JSON number is not the same number everywhere (RFC 8259, 6)."""
MAX_STRING = 256
"""Characters."""
MAX_TIME = 4_102_444_800_000
"""2100-01-01 in epoch milliseconds; no clock that is right says more."""
MAX_AGE = 10 * 366 * 86_400_000
"""Milliseconds; no board has been up and without a clock for longer."""
KEPT = 512
"""Bytes of a rejected message that are kept."""


class Poison(Exception):
    """This message, or this part of it, will never be a reading. `reason` is one of `REASONS`, `detail` a sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def rejected(message: Message, poison: Poison, part: bytes | None = None) -> Rejected:
    """The record of it, with the beginning of the message, or of the `part` that was bad."""
    start = (message.payload if part is None else part)[:KEPT]
    return Rejected(message.topic, poison.reason, poison.detail, start, message.received)
