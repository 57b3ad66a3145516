"""The event a function gets: CloudEvents 1.0, structured mode, JSON (INTERFACE: The event a function gets)."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from edge_agent.domain.rules.spec import Match

encode = msgspec.json.Encoder().encode


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
            "datacontenttype": "application/json",
            "traceparent": traceparent(match.id),
            "data": data,
        }
    )


def of_call(event_id: str, function: str, site: str, at: int, content: tuple[bytes, str]) -> bytes:
    """The event of an HTTP call, `content` its (body, media type). JSON goes in as `data`; a whole CloudEvent is handed on
    as it came; text as a string. Errors: `msgspec.DecodeError`."""
    body, media = content
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": event_id,
        "source": f"/edge/{site}/http",
        "type": "internal.edge.call",
        "subject": function,
        "time": rfc3339(at),
        "datacontenttype": media or "application/json",
        "traceparent": traceparent(event_id),
    }
    if "json" in event["datacontenttype"]:
        data = msgspec.json.decode(body) if body.strip() else None
        if isinstance(data, dict) and data.get("specversion") == "1.0" and {"id", "source", "type"} <= data.keys():
            return body
        event["data"] = data
    else:
        event["data"] = body.decode("utf-8", "replace")
    return encode(event)
