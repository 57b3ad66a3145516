"""The event a function gets: CloudEvents 1.0, structured mode, JSON (INTERFACE: The event a function gets).

One function here for each kind of trigger; `cloudevent` has what an HTTP caller may hand in whole. Attributes come before
the data, so that who looks for one need not read on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from edge_agent.domain import cloudevent
from edge_agent.domain.cloudevent import JSON, content
from edge_agent.domain.invocation import Invocation, Succeeded
from edge_agent.domain.message import Message
from edge_agent.domain.rules.spec import Match
from edge_agent.errors import Fault, Invalid

DEPTH_MOST = 16
"""Results of results: a function so far from what happened first is not run any more."""
CAUSE_MOST = 1000
"""Characters of `edgecause`; the newest causes are kept."""
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})")

encode = msgspec.json.Encoder().encode


class Way(msgspec.Struct, frozen=True):
    """How an event came about, as its attributes tell: everything that was a cause of it, oldest first, and how many of
    them were functions. Extension names of CloudEvents are lower-case letters and digits (section 3.1)."""

    edgecause: str = ""
    edgedepth: int = 0
    traceparent: str = ""
    partitionkey: str = ""
    """Whose event it is: of what has one, `ordered` keeps the order (CloudEvents extension Partitioning)."""


class _Of(msgspec.Struct):
    device: str


class _Concerning(msgspec.Struct):
    data: _Of


_way = msgspec.json.Decoder(Way).decode
_concerning = msgspec.json.Decoder(_Concerning).decode


def way(event: bytes) -> Way:
    """What `event`, an object in JSON, says of its way; nothing where it says nothing that can be used."""
    try:
        return _way(event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Way()


def whose(event: bytes) -> str:
    """The device (or the topic) an event is of: its `partitionkey`, or the device its data names; "" when neither."""
    if key := way(event).partitionkey:
        return key
    try:
        return _concerning(event).data.device
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def depth(event: bytes) -> int:
    """How many functions are among the event's causes."""
    return way(event).edgedepth if b'"edgedepth"' in event else 0


def rfc3339(ms: int) -> str:
    """Epoch milliseconds as CloudEvents writes times (section 2.4, Timestamp)."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def trace_id(event_id: str) -> str:
    """32 hex digits that follow from the event's id: every attempt, log line and restart agrees on them."""
    return hashlib.blake2b(event_id.encode(), digest_size=16).hexdigest()


def traceparent(event_id: str) -> str:
    """W3C Trace Context, as CloudEvents' distributed tracing extension carries it."""
    trace = trace_id(event_id)
    return f"00-{trace}-{trace[:16]}-01"


def of_match(match: Match, site: str, unit: str) -> bytes:
    """The event of a rule that was met, is over, or sees every message."""
    rule = match.rule
    data: dict[str, Any] = {
        "device": match.device,
        "reading": match.reading,
        "value": match.value,
        "unit": unit,
        "rule": rule.name,
        "state": match.state,
        "severity": rule.severity,
        "message": match.message,
        "readings": dict(match.readings),
        "previous": match.previous,
    }
    return encode(
        {
            "specversion": "1.0",
            "id": match.id,
            "source": f"/edge/{site}/devices/{match.device}",
            "type": f"internal.edge.rule.{match.state}",
            "subject": match.reading,
            "time": rfc3339(match.at),
            "datacontenttype": JSON,
            "traceparent": traceparent(match.id),
            "data": data,
        }
    )


def of_message(event_id: str, message: Message, site: str, device: str = "") -> bytes:
    """The event of an MQTT message that a function asked for; `device`: whose reading it brought.

    A payload that is an object with `edgedepth` (a function passed on what its own event said) is one further on its way.
    """
    payload = message.payload
    event = _attributes(event_id, f"/edge/{site}/mqtt", "internal.edge.message", message.topic, message.received)
    event["partitionkey"] = device or cloudevent.clean(message.topic)
    came = way(payload) if b'"edgedepth"' in payload else Way()
    if came.edgedepth > 0:
        event |= _further(came, came.edgecause, f"topic:{message.topic}", event_id)
    return encode(event | content(payload, ""))


def of_cron(event_id: str, function: str, site: str, at: int, data: dict[str, Any]) -> bytes:
    """The event of a time that has come; `at` is that time, whenever it is run for."""
    event = _attributes(event_id, f"/edge/{site}/cron", "internal.edge.cron", function, at)
    return encode(event | {"datacontenttype": JSON, "data": data})


def of_result(event_id: str, cause: Invocation, answer: Succeeded, site: str, at: int) -> bytes:
    """The event of a function's answer; `cause` is the invocation that was answered. Same trace, another span."""
    event = _attributes(
        event_id, f"/edge/{site}/functions/{cause.function}", "internal.edge.result", cause.function, at
    )
    came = way(cause.event)
    event |= _further(came, came.edgecause or cause.cause, cause.function, event_id)
    if key := whose(cause.event):
        event["partitionkey"] = cloudevent.clean(key)
    return encode(event | content(answer.response, answer.content_type))


def of_call(event_id: str, function: str, site: str, at: int, call: tuple[bytes, str, Mapping[str, str]]) -> bytes:
    """The event of an HTTP call, `call` its (body, media type, `ce-` headers without their prefix): a whole CloudEvent is
    handed on as it came, JSON goes in as it is, text as a string, all else as base64. Errors: `Invalid`, every fault."""
    body, media, attributes = call
    if cloudevent.is_one(media, attributes):
        return cloudevent.of_http(body, media, attributes)
    if "json" in media.lower() and body.strip():
        try:
            tree = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Invalid([Fault("body", 1, 1, "body", f"is not JSON: {error}")]) from error
        if cloudevent.looks_like_one(tree):
            return cloudevent.structured(body)
    event = _attributes(event_id, f"/edge/{site}/http", "internal.edge.call", function, at)
    return encode(event | content(body, media))


def _attributes(event_id: str, source: str, kind: str, subject: str, at: int) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": kind,
        # section 3.1.1: a subject is a string that is not empty
        **({"subject": cloudevent.clean(subject)} if subject else {}),
        "time": rfc3339(at),
        "traceparent": traceparent(event_id),
    }


def _further(came: Way, causes: str, latest: str, event_id: str) -> dict[str, Any]:
    further: dict[str, Any] = {
        "edgecause": cloudevent.clean(f"{causes} > {latest}" if causes else latest)[-CAUSE_MOST:],
        "edgedepth": min(max(0, came.edgedepth) + 1, 2**31 - 1),
    }
    if (told := _TRACEPARENT.fullmatch(came.traceparent)) and int(told[1], 16):
        further["traceparent"] = f"00-{told[1]}-{trace_id(event_id)[:16]}-{told[2]}"
    return further
