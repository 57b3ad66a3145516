"""Generated payloads (hypothesis): good ones that must come through whole, and poison with the reason it must get."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from hypothesis import strategies as st

from edge_agent.decode.poison import MAX_AGE, MAX_DEPTH, MAX_INTEGER, MAX_STRING, MAX_TIME
from edge_agent.domain.message import MAX_PAYLOAD
from edge_agent.domain.reading import MAX_READINGS

SITE = "home"
NAME = "abcdefghijklmnopqrstuvwxyz0123456789-"


class Bad(NamedTuple):
    """A message that must be rejected, with the reason."""

    topic: str
    payload: bytes
    reason: str


def names(longest: int = 63) -> st.SearchStrategy[str]:
    return st.text(NAME, min_size=1, max_size=longest)


def values() -> st.SearchStrategy[Any]:
    """Everything a reading may be."""
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=MAX_STRING)
    floats = st.floats(allow_nan=False, allow_infinity=False)
    return st.one_of(floats, st.integers(-MAX_INTEGER, MAX_INTEGER), st.booleans(), text)


@st.composite
def valid_native(draw: st.DrawFn, boot: str | None = None, seq: int | None = None) -> dict[str, Any]:
    """One native reading as a board may send it; `boot` and `seq` as given, else any."""
    reading: dict[str, Any] = {
        "boot": draw(names(32)) if boot is None else boot,
        "seq": draw(st.integers(1, MAX_INTEGER)) if seq is None else seq,
        "readings": draw(st.dictionaries(names(), values(), min_size=1, max_size=5)),
    }
    match draw(st.sampled_from(["dated", "null", "absent"])):
        case "dated":
            reading["t"] = draw(st.integers(0, MAX_TIME))
        case "null":
            reading |= {"t": None, "age": draw(st.integers(0, MAX_AGE))}
    if draw(st.booleans()):
        reading["oldest"] = draw(st.integers(0, reading["seq"]))
    fields = draw(st.permutations(list(reading.items())))
    return dict(fields)


@st.composite
def encoded(draw: st.DrawFn, document: Any) -> bytes:
    """`document` as JSON in one of the ways JSON may be written."""
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")]))
    text = json.dumps(document, ensure_ascii=draw(st.booleans()), separators=separators, allow_nan=False)
    return text.encode()


def topics(kind: str = "readings", site: str = SITE) -> st.SearchStrategy[str]:
    return names().map(lambda device: f"edge/v1/{site}/devices/{device}/{kind}")


def _document(**changes: Any) -> bytes:
    reading = {"boot": "b1", "seq": 1, "t": 1_763_888_888_123, "readings": {"level": 18.2}} | changes
    return json.dumps({key: value for key, value in reading.items() if value is not ...}).encode()


def _with_value(text: str) -> bytes:
    return b'{"boot":"b1","seq":1,"t":1763888888123,"readings":{"level":%b}}' % text.encode()


@st.composite
def poison(draw: st.DrawFn, site: str = SITE) -> Bad:
    """A message on a native topic that must be rejected, and why."""
    reason, payloads = draw(st.sampled_from(sorted(POISON.items())))
    topic = draw(topics(site=site))
    return Bad(topic, draw(payloads), reason)


_far = st.one_of(st.integers(MAX_INTEGER + 1, 10**40), st.integers(-(10**40), -MAX_INTEGER - 1))
_other_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)

POISON: dict[str, st.SearchStrategy[bytes]] = {
    "bad-utf8": st.one_of(
        st.binary(max_size=20).map(lambda tail: b'{"boot":"b1","seq":1,"readings":{"a":"\xff' + tail + b'"}}'),
        st.just(_with_value(r'"\ud800"')),
        st.just(b'{"boot":"b1","seq":1,"t":1,"extra":"\xc3\x28","readings":{"a":1}}'),
    ),
    "not-json": st.one_of(
        st.integers(1, len(_document()) - 1).map(lambda cut: _document()[:cut]),
        st.sampled_from([b"online", b"18.2 %", b"{'boot':'b1'}", _document() + b"}", _with_value("nan"), b"\x00"]),
        st.sampled_from(["01", ".5", "+1", "0x10", "1.", "--1"]).map(_with_value),
    ),
    "duplicate-key": st.sampled_from(
        [
            b'{"boot":"b1","seq":1,"seq":2,"t":1,"readings":{"level":1}}',
            b'{"boot":"b1","seq":1,"t":1,"readings":{"level":1,"level":2}}',
            b'{"boot":"b1","seq":1,"t":1,"readings":{"level":1,"le\\u0076el":2}}',
            b'{"boot":"b1","seq":1,"t":1,"readings":{"level":1},"readings":{"level":2}}',
            b'{"boot":"b1","seq":1,"t":1,"t":2,"oldest":0,"readings":{"level":1}}',
            b'{"boot":"b1","seq":1,"t":1,"later":{"x":1,"x":2},"readings":{"level":1}}',
        ]
    ),
    "too-deep": st.integers(MAX_DEPTH, 20_000).flatmap(
        lambda depth: st.sampled_from(
            [b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth, _with_value("[" * depth)]
        ).filter(lambda payload: len(payload) <= MAX_PAYLOAD and payload.count(b"[") + payload.count(b"{") > MAX_DEPTH)
    ),
    "bad-number": st.one_of(
        st.sampled_from(["NaN", "Infinity", "-Infinity", "1e999", "-1e400", "1" * 5000]).map(_with_value),
        _far.map(str).map(_with_value),
        st.one_of(st.integers(-(2**60), 0), st.integers(MAX_INTEGER + 1, 2**70)).map(lambda seq: _document(seq=seq)),
    ),
    "bad-time": st.one_of(
        st.one_of(st.integers(-MAX_INTEGER, -1), st.integers(MAX_TIME + 1, MAX_INTEGER)).map(lambda t: _document(t=t)),
        st.integers(MAX_AGE + 1, MAX_INTEGER).map(lambda age: _document(t=None, age=age)),
        st.integers(-MAX_INTEGER, -1).map(lambda age: _document(t=None, age=age)),
    ),
    "wrong-type": st.one_of(
        st.sampled_from(["null", "[1]", '{"value":1}', "[]"]).map(_with_value),
        st.sampled_from([b"1", b"null", b'"online"', b"true", b"[]", b"[" + _document() + b"]"]),
        st.sampled_from([True, None, "1", 1.5, [1]]).map(lambda seq: _document(seq=seq)),
        st.sampled_from([True, "now", 1.5, {}]).map(lambda t: _document(t=t)),
        st.sampled_from([None, 1, True, ["b1"]]).map(lambda boot: _document(boot=boot)),
        st.sampled_from([None, 1, "level", [18.2]]).map(lambda readings: _document(readings=readings)),
    ),
    "missing-field": st.sampled_from(["boot", "seq", "readings"]).map(lambda field: _document(**{field: ...})),
    "bad-name": st.one_of(
        _other_text.filter(lambda name: set(name) - set(NAME)).map(lambda name: _document(readings={name: 1})),
        st.integers(64, 300).map(lambda length: _document(readings={"a" * length: 1})),
        _other_text.filter(lambda boot: set(boot) - set(NAME)).map(lambda boot: _document(boot=boot)),
        st.integers(33, 300).map(lambda length: _document(boot="b" * length)),
        st.just(_document(boot="")),
        st.just(_document(readings={"": 1})),
    ),
    "no-readings": st.just(_document(readings={})),
    "too-many-readings": st.integers(MAX_READINGS + 1, 500).map(
        lambda count: _document(readings={f"r{number}": number for number in range(count)})
    ),
    "too-long": st.integers(MAX_STRING + 1, 5000).map(lambda length: _document(readings={"text": "x" * length})),
    "oversize": st.integers(MAX_PAYLOAD + 1, MAX_PAYLOAD + 1000).map(lambda size: _document().ljust(size)),
}
"""Reason -> payloads on a readings topic that must get it."""
