"""Our own payload, and the board's side of the promise (INTERFACE.md: Topics).

Enters: `edge/v1/<site>/devices/<device>/readings`, `.../readings/batch`, `.../status`, `.../about`.

A reading: `{"boot":"7f3a9c01d2e4b586","seq":42,"t":1763888888123,"readings":{"level":18.2,"door":true}}`

| field | |
|---|---|
| `boot` | 1-32 of `[0-9a-z-]`, new at every start of the board: 64 random bits, or a counter kept in flash |
| `seq` | counts this boot's messages, from 1, at most 2**53 |
| `t` | when it was measured, epoch milliseconds; null or absent while the board has no clock |
| `age` | milliseconds since it was measured, at the moment of sending; counts only where `t` is null or absent |
| `oldest` | "I hold nothing older than this seq any more"; see below |
| `readings` | 1 to 64 of them: numbers (integers up to 2**53), booleans, strings of at most 256 characters |

Fields we do not know are ignored. A message has at most 64 KiB; `batch` is an array of readings.

What a board does, so that nothing it measured is lost:

1. It keeps every reading until an `ack` `{"boot","seq"}` of its own boot with that seq or a higher one has come.
   PUBACK is no reason to forget: a broker that is killed forgets what it acknowledged.
2. It publishes with QoS 1, in the order of seq, and does not wait for one ack before sending the next reading.
3. After a reconnect, or when no ack came for 10 s while it holds something (then 20 s, 40 s, at most 60 s, until one
   comes), it sends all it holds again, from the oldest, on the batch topic where that is more than one; the first of them
   carries `oldest`. `(device, boot, seq)` absorbs the repeats.
4. Its buffer is bounded. When it overflows, the oldest goes, and the next messages carry `oldest`: the agent then waits
   no longer for what is below, and acks go on. A board also says `oldest` when an ack lags behind its oldest reading.
5. After a restart it has a new boot; what the buffer in flash still holds goes out under its old boot and seq, acked
   likewise.

What the agent does with a bad one: it is recorded and counted as rejected, never stored as a reading. Where its boot
and seq can be read, they count as received (a sample without values): the board would otherwise send poison for ever.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import msgspec

from edge_agent.decode import strict_json
from edge_agent.decode.native_about import about_of
from edge_agent.decode.native_check import Wire, checked, identity
from edge_agent.decode.poison import Poison, rejected
from edge_agent.decode.register import Decoded, Reader, Register, ignore
from edge_agent.decode.values import check_name
from edge_agent.domain.message import Message
from edge_agent.domain.reading import Presence, Sample
from edge_agent.domain.topics import Topics, is_name

MAX_KNOWN = 8_192
"""Reading names and boots remembered as good."""
MAX_RECORDED = 16
"""Bad elements of one batch that are recorded one by one; the last record counts the rest."""

_single = msgspec.json.Decoder(Wire).decode
_batch = msgspec.json.Decoder(Annotated[list[Wire], msgspec.Meta(min_length=1)]).decode
_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def filters(site: str) -> Sequence[str]:
    topics = Topics(site)
    return (topics.all_readings, topics.all_batches, topics.all_statuses, topics.all_abouts)


def reader(topic: str, register: Register) -> Reader | None:
    devices = Topics(register.site).devices
    if not topic.startswith(devices):
        return None
    device, _, kind = topic.removeprefix(devices).partition("/")
    check_name(device)
    match kind:
        case "readings":
            return partial(readings, device)
        case "readings/batch":
            return partial(batch, device)
        case "status":
            return partial(status, device)
        case "about":
            return lambda message: (about_of(device, message),)
    if kind == "ack" or kind.startswith(("cmd/", "state/")):
        return ignore
    raise Poison("bad-topic", f"a board has no {kind[:80]!r}")


def readings(device: str, message: Message) -> Sequence[Decoded]:
    """One reading. This function is most of what the agent does; its budget is a few microseconds (`make bench`)."""
    payload = message.payload
    try:
        wire = _single(payload)
    except _FAULTS:
        return _carefully(device, message)
    values = wire.readings
    t = wire.t
    # Every key needs a colon: as many colons as distinct keys is proof that no key is there twice.
    if (
        t.__class__ is int
        and payload.count(b":") == 4 + len(values)
        and _known.issuperset(values)
        and wire.boot in _known
    ):
        return (Sample(device, wire.boot, wire.seq, t, message.received, values, True, not message.retained),)
    if payload.count(b":") == _keys(wire) and _good_words(wire):
        return (_sample(device, message, wire),)
    return _carefully(device, message)


def batch(device: str, message: Message) -> Sequence[Decoded]:
    """An array of readings: the good ones are taken, each bad one is recorded."""
    payload = message.payload
    try:
        wires = _batch(payload)
    except _FAULTS:
        return _each_carefully(device, message)
    if payload.count(b":") == sum(map(_keys, wires)) and all(map(_good_words, wires)):
        return [_sample(device, message, wire) for wire in wires]
    return _each_carefully(device, message)


def status(device: str, message: Message) -> Sequence[Presence]:
    match message.payload:
        case b"online":
            return (Presence(device, True, message.received),)
        case b"offline":
            return (Presence(device, False, message.received),)
    raise Poison("wrong-type", "a status is online or offline")


_known: set[str] = set()


def _good_words(wire: Wire) -> bool:
    words = (wire.boot, *wire.readings)
    if _known.issuperset(words):
        return True
    if not all(map(is_name, words)):
        return False
    if len(_known) > MAX_KNOWN:
        _known.clear()
    _known.update(words)
    return True


def _keys(wire: Wire) -> int:
    """How many keys its message has at least; an `age` or `oldest` of 0 may be there or not."""
    return 3 + len(wire.readings) + (wire.t is not msgspec.UNSET) + (wire.age != 0) + (wire.oldest != 0)


def _sample(device: str, message: Message, wire: Wire) -> Sample:
    t, received = wire.t, message.received
    dated = isinstance(t, int)
    measured = t if isinstance(t, int) else max(0, received - wire.age)
    live = not message.retained
    return Sample(
        device, wire.boot, wire.seq, measured, received, wire.readings, dated, live, min(wire.oldest, wire.seq)
    )


def _carefully(device: str, message: Message) -> Sequence[Decoded]:
    tree = strict_json.lenient(message.payload)
    try:
        return (_element(device, message, tree),)
    except Poison as poison:
        return (rejected(message, poison), *_closing(device, message, tree))


def _each_carefully(device: str, message: Message) -> Sequence[Decoded]:
    tree = strict_json.lenient(message.payload)
    if not isinstance(tree, list):
        strict_json.check(tree)
        raise Poison("wrong-type", "a batch is an array of readings")
    if not tree:
        raise Poison("no-readings", "the batch is empty")
    decoded: list[Decoded] = []
    bad = 0
    for number, element in enumerate(tree, 1):
        try:
            decoded.append(_element(device, message, element))
        except Poison as poison:
            bad += 1
            if bad < MAX_RECORDED:
                where = Poison(poison.reason, f"element {number} of {len(tree)}: {poison.detail}")
                decoded.append(rejected(message, where, _shown(element)))
            else:
                rest = poison
            decoded.extend(_closing(device, message, element))
    if bad >= MAX_RECORDED:
        more = Poison(rest.reason, f"{bad - MAX_RECORDED + 1} more elements of {len(tree)}, the last: {rest.detail}")
        decoded.append(rejected(message, more))
    return decoded


def _element(device: str, message: Message, tree: Any) -> Sample:
    strict_json.check(tree)
    wire = checked(tree)
    _good_words(wire)
    return _sample(device, message, wire)


def _closing(device: str, message: Message, tree: Any) -> Sequence[Sample]:
    """Lets the acks go on past a bad reading: a sample without values that triggers nothing."""
    named = identity(tree)
    if named is None:
        return ()
    boot, seq = named
    return (Sample(device, boot, seq, message.received, message.received, {}, dated=False, live=False),)


def _shown(element: Any) -> bytes:
    return json.dumps(element, default=lambda bad: f"<{bad.poison.reason}>").encode("ascii", "replace")
