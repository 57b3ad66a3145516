"""One message, sent once for each subscription it matches: which of the copies counts (MQTT 5, 3.3.4 and 3.8.2.1.2).

Two Topic Filters may cross (`house/+` and `+/door`), and Mosquitto sends what both ask for twice. So filters that cross
another one are subscribed with a Subscription Identifier, which each copy carries, and of a message's copies the first is
taken. Filters that cross none have no identifier, and their messages pay nothing. MQTT 3.1.1 knows no identifiers; there
Mosquitto sends one copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MAX_TOPICS = 4096
"""Topics whose last message is remembered."""
_LENGTHS = {0x01: 1, 0x02: 4, 0x23: 2}
"""Properties of PUBLISH with a fixed length: Payload Format Indicator, Message Expiry Interval, Topic Alias (2.2.2.2)."""
_IDENTIFIER, _USER_PROPERTY = 0x0B, 0x26


class Sieve:
    """For the connection's thread, but `clear`."""

    def __init__(self) -> None:
        self.copies = 0
        """Left out so far."""
        self._last: dict[bytes, tuple[int, int, set[int]]] = {}

    def repeats(self, topic: bytes, payload: bytes, properties: bytes) -> bool:
        """Whether this PUBLISH is one more copy of the last message of its topic."""
        return self.again(topic, payload, identifiers(properties))

    def again(self, topic: bytes, payload: bytes, subscriptions: Sequence[int]) -> bool:
        """The same, `subscriptions` being the identifiers that it carries.

        A second copy for one subscription is another message that says the same.
        """
        if not subscriptions:
            return False
        length, digest, seen = self._last.get(topic, (-1, 0, set[int]()))
        if length == len(payload) and digest == hash(payload) and seen.isdisjoint(subscriptions):
            seen.update(subscriptions)
            self.copies += 1
            return True
        if len(self._last) >= MAX_TOPICS:
            self._last.clear()
        self._last[topic] = (len(payload), hash(payload), set(subscriptions))
        return False

    def clear(self) -> None:
        """Other subscriptions stand now."""
        self._last = {}


def identifiers(properties: bytes) -> list[int]:
    """The Subscription Identifiers among the properties of a PUBLISH (3.3.2.3); none of what is malformed."""
    found: list[int] = []
    at, size = 0, len(properties)
    while at < size:
        kind, at = properties[at], at + 1
        if kind == _IDENTIFIER:
            value = shift = 0
            while at < size:
                byte = properties[at]
                value |= (byte & 127) << shift
                at, shift = at + 1, shift + 7
                if byte < 128:
                    break
            found.append(value)
        elif kind in _LENGTHS:
            at += _LENGTHS[kind]
        else:  # strings and binary data, with their length in two bytes; a User Property is two of them
            for _ in range(2 if kind == _USER_PROPERTY else 1):
                at += 2 + int.from_bytes(properties[at : at + 2], "big")
    return found


def crossing(filters: Iterable[str]) -> list[str]:
    """Those of `filters` that share topics with another one."""
    each = list(filters)
    return [one for one in each if any(cross(one, other) for other in each if other != one)]


def cross(one: str, other: str) -> bool:
    """Whether there is a topic that both ask for (4.7.1)."""
    levels, others = one.split("/"), other.split("/")
    if {one, other} == {"+", "/#"}:  # the empty topic alone, and a topic has at least one character (4.7.3)
        return False
    if {one[:1], other[:1]} in ({"$", "+"}, {"$", "#"}):
        return False
    for mine, theirs in zip(levels, others, strict=False):
        if "#" in (mine, theirs):
            return True
        if "+" not in (mine, theirs) and mine != theirs:
            return False
    longer = max(levels, others, key=len)
    rest = longer[min(len(levels), len(others)) :]
    return not rest or rest == ["#"]
