"""A whole CloudEvent that somebody hands in: judged against CloudEvents 1.0.2, every fault at once, then handed on.

Enters: a body in structured mode, or the `ce-` headers and body of binary mode (HTTP Protocol Binding 1.0.2, 3.1, 3.2).
Leaves: the event in structured mode, as the sender's own attributes have it: no id of ours replaces theirs.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from edge_agent.errors import Fault, Invalid

JSON, TEXT, BINARY = "application/json", "text/plain", "application/octet-stream"
_NOT_TEXT = ("image/", "audio/", "video/", "font/", BINARY)
STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
REQUIRED = ("specversion", "id", "source", "type")
_NAME = re.compile(r"[a-z0-9]+")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_MEDIA = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*(;[\t\x20-\x7e]*)?")
_FORBIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(n) for p in range(17) for n in (p * 65536 + 65534, p * 65536 + 65535))
    + "]"
)
_REFERENCE = re.compile(r"[^\s\"<>\\^`{|}]*")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")

Wrong = tuple[str, str, str]
"""(attribute, what is wrong, hint)."""


def is_one(media: str, attributes: Mapping[str, str]) -> bool:
    """Whether a call says that it brings a whole event: by its Content-Type, or by `ce-` headers."""
    return bool(attributes) or _plain(media).startswith("application/cloudevents")


def content(body: bytes, media: str) -> dict[str, Any]:
    """The data as CloudEvents' JSON format has it (3.1.1): JSON as it was written, text as a string, else `data_base64`.
    Without a media type (or with JSON's on what is none) what the bytes are decides."""
    media = media if _media(media) is None else ""
    plain = _plain(media)
    json = not plain or "json" in plain
    if not body or (json and not body.strip()):
        return {"data": None}
    if plain.startswith(_NOT_TEXT):
        return {"datacontenttype": media, "data_base64": b64encode(body).decode()}
    if json and is_json(body):
        return {"datacontenttype": media or JSON, "data": msgspec.Raw(body)}
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return {"datacontenttype": BINARY if json else media, "data_base64": b64encode(body).decode()}
    return {"datacontenttype": TEXT if json else media, "data": text}


def is_json(body: bytes) -> bool:
    """Whether it is JSON in UTF-8 (RFC 8259), with numbers that a double can hold."""
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def clean(text: str) -> str:
    """`text` without characters that no attribute may have (section 2.4, String)."""
    return _FORBIDDEN.sub("\ufffd", text)


def looks_like_one(tree: Any) -> bool:
    """Whether plain JSON is one all the same: it has every attribute that an event must have."""
    return isinstance(tree, dict) and all(isinstance(tree.get(name), str) for name in REQUIRED)


def of_http(body: bytes, media: str, attributes: Mapping[str, str]) -> bytes:
    """The event, in structured mode. `attributes` are the `ce-` headers without their prefix, still percent-encoded.
    Errors: `Invalid`, with every fault."""
    if _plain(media).startswith("application/cloudevents"):
        return structured(body, media)
    return _binary(body, media, attributes)


def structured(body: bytes, media: str = STRUCTURED) -> bytes:
    """`body`, as it is, when it is an event. Errors: `Invalid`."""
    if _plain(media) == BATCH:
        raise _invalid([("Content-Type", "is a batch", f"send one event in each call, as {STRUCTURED}")])
    if _plain(media) not in (STRUCTURED, "application/cloudevents", "application/json"):
        raise _invalid([("Content-Type", f"{media[:80]!r} is a format not known here", f"send {STRUCTURED}")])
    try:
        tree = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _invalid([("body", f"is not JSON: {error}", "")]) from error
    if not isinstance(tree, dict):
        raise _invalid([("body", "is no event", 'write {"specversion": "1.0", "id": ..., "source": ..., "type": ...}')])
    if wrong := [*_attributes(tree), *_data(tree)]:
        raise _invalid(wrong)
    return body


def _binary(body: bytes, media: str, headers: Mapping[str, str]) -> bytes:
    event: dict[str, Any] = {}
    wrong: list[Wrong] = []
    for name, value in headers.items():
        try:
            event[name.lower()] = _unescaped(value.strip())
        except UnicodeDecodeError:
            wrong.append((f"ce-{name}", "is not UTF-8", "percent-encode its UTF-8 bytes"))
    misplaced = [name for name in ("datacontenttype", "data", "data_base64") if event.pop(name, None) is not None]
    wrong += [(f"ce-{name}", "is no header of an event", "Content-Type and the body say it") for name in misplaced]
    wrong += _attributes(event | ({"datacontenttype": media} if media else {}))
    if body and "json" in (_plain(media) or JSON) and not is_json(body):
        wrong.append(("body", "is not JSON", "say in Content-Type what it is"))
    if wrong:
        raise _invalid(wrong)
    return msgspec.json.encode(event | (content(body, media) if body else {}))


def _unescaped(value: str) -> str:
    """Section 3.1.3.2 of the HTTP binding: perhaps in quotes, then percent-encoded. Errors: `UnicodeDecodeError`."""
    if quoted := _QUOTED.fullmatch(value):
        value = re.sub(r"\\(.)", r"\1", quoted[1])
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), value.encode("latin-1", "replace")).decode()


def _attributes(event: Mapping[str, Any]) -> Iterator[Wrong]:
    for name in REQUIRED:
        if event.get(name) is None:
            yield name, "is missing", f"an event has {', '.join(REQUIRED)}"
    for name, value in event.items():
        if name in ("data", "data_base64"):
            continue
        if not _NAME.fullmatch(name):
            yield name, "is no attribute name", "lower-case letters and digits only"
        elif value is None:  # JSON format 2.2: as good as absent
            continue
        elif message := _judge(name, value):
            yield name, *message


def _judge(name: str, value: Any) -> tuple[str, str] | None:
    """What is wrong with one attribute (sections 2.4, 3.1)."""
    known = name in _JUDGES
    if not isinstance(value, str):
        if known or isinstance(value, (dict, list, float)):
            return (
                f"is {_kind(value)}",
                "attributes are strings" if known else "extensions are text, integer or boolean",
            )
        if isinstance(value, int) and not isinstance(value, bool) and not -(2**31) <= value < 2**31:
            return "is no integer of 32 bits", "write it as a string"
        return None
    if _FORBIDDEN.search(value):
        return "has a character that is not allowed", "no control characters, surrogates or noncharacters"
    if known and not value:
        return "is empty", ""
    return _JUDGES[name](value) if known else None


def _version(value: str) -> tuple[str, str] | None:
    return None if value == "1.0" else (f"{value[:40]!r} is not known", "write 1.0")


def _any_text(value: str) -> tuple[str, str] | None:
    return None


def _reference(value: str) -> tuple[str, str] | None:
    if _REFERENCE.fullmatch(value):
        return None
    return f"{value[:80]!r} is no URI reference", "write for example /my/door; percent-encode spaces as %20"


def _schema(value: str) -> tuple[str, str] | None:
    if wrong := _reference(value):
        return wrong
    return None if _SCHEME.match(value) else (f"{value[:80]!r} is no absolute URI", "begin with https://")


def _media(value: str) -> tuple[str, str] | None:
    return (
        None if _MEDIA.fullmatch(value) else (f"{value[:80]!r} is no media type", "write for example application/json")
    )


def _time(value: str) -> tuple[str, str] | None:
    try:
        if _TIME.fullmatch(value):
            datetime.fromisoformat(value.upper())
            return None
    except ValueError:
        pass
    return f"{value[:40]!r} is no time", "write it as RFC 3339 has it, for example 2026-11-23T10:00:00.123Z"


_JUDGES = {
    "specversion": _version,
    "id": _any_text,
    "source": _reference,
    "type": _any_text,
    "subject": _any_text,
    "datacontenttype": _media,
    "dataschema": _schema,
    "time": _time,
}


def _data(event: Mapping[str, Any]) -> Iterator[Wrong]:
    encoded = event.get("data_base64")
    if encoded is None:
        return
    if "data" in event:
        yield "data_base64", "is there beside data", "keep one"
    try:
        b64decode(encoded if isinstance(encoded, str) else "?", validate=True)
    except (ValueError, binascii.Error):
        yield "data_base64", "is not base64", "RFC 4648, section 4, with padding"


def _kind(value: Any) -> str:
    kinds = {bool: "a boolean", int: "a number", float: "a number", dict: "an object", list: "a list"}
    return kinds.get(type(value), "no text")


def _plain(media: str) -> str:
    return media.partition(";")[0].strip().lower()


def _invalid(wrong: list[Wrong]) -> Invalid:
    return Invalid([Fault("body", 1, 1, field, message, hint) for field, message, hint in wrong])
