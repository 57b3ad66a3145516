"""How a sample becomes a MongoDB document and back.

    {_id: "tank-1/7f3a9c01d2e4b586/42", device, boot, seq, t, at: Date(t), received, n: 2, values: {level: 18.2, door: true}}

`n` counts the values. `dated`, `live` and `oldest` are there only where they are not what they usually are. BSON keeps apart
18, 18.0 and true.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias
from urllib.parse import quote, unquote

from bson.datetime_ms import DatetimeMS

from edge_agent.domain.reading import Sample, Value

Document: TypeAlias = dict[str, Any]

_PLAIN = re.compile(r"[A-Za-z0-9_-]*")


def key_of(reading: str) -> str:
    """A field name MongoDB takes as one: dots, dollars and NULs, which no reading's name has, would mean something."""
    return reading if _PLAIN.fullmatch(reading) else quote(reading, safe=" /:@").replace(".", "%2E")


def document_of(sample: Sample) -> Document:
    document: Document = {
        "_id": sample.id,
        "device": sample.device,
        "boot": sample.boot,
        "seq": sample.seq,
        "t": sample.t,
        "at": DatetimeMS(sample.t),
        "received": sample.received,
        "n": len(sample.values),
        "values": {key_of(name): value for name, value in sample.values.items()},
    }
    if not sample.dated:
        document["dated"] = False
    if not sample.live:
        document["live"] = False
    if sample.oldest:
        document["oldest"] = sample.oldest
    return document


def sample_of(document: Mapping[str, Any]) -> Sample:
    return Sample(
        device=document["device"],
        boot=document["boot"],
        seq=int(document["seq"]),
        t=int(document["t"]),
        received=int(document["received"]),
        values={unquote(key): plain(value) for key, value in document["values"].items()},
        dated=document.get("dated", True),
        live=document.get("live", True),
        oldest=int(document.get("oldest", 0)),
    )


def plain(value: Any) -> Value:
    """BSON's 64-bit integers as Python's own."""
    found: Value = int(value) if type(value) not in (bool, float, str) else value
    return found


def mean_steps(device: str, reading: str, since: int, until: int, step: int) -> list[Document]:
    """The aggregation pipeline for steps; `$dateTrunc` would need MongoDB 5."""
    field = f"$values.{key_of(reading)}"
    as_number = {"$cond": [{"$eq": [field, True]}, 1, {"$cond": [{"$eq": [field, False]}, 0, field]}]}
    return [
        {"$match": {"device": device, "t": {"$gte": since, "$lt": until}, field[1:]: {"$type": ["number", "bool"]}}},
        {"$project": {"step": {"$subtract": ["$t", {"$mod": ["$t", step]}]}, "value": as_number}},
        {"$group": {"_id": "$step", "mean": {"$avg": "$value"}, "low": {"$min": "$value"}, "high": {"$max": "$value"},
                    "count": {"$sum": 1}}},
        {"$sort": {"_id": 1}},
    ]  # fmt: skip
