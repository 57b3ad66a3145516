"""Query parameters and bodies, read strictly: what cannot be understood is a 400 with every fault, never a guess.

In: the current request. Out: plain values; times are epoch milliseconds. Errors: `Invalid`, `Problem` (413, 415, 428).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from flask import request

from edge_agent.domain.durations import parse_duration
from edge_agent.domain.topics import is_name, to_name
from edge_agent.errors import Fault, Invalid, NotFound
from edge_agent.web.problems import Problem

Json = dict[str, Any]
LATEST = 253_402_300_799_999
"""The end of the year 9999, epoch ms: what RFC 3339 can write."""
MOST_ITEMS = 1000
_TRUE, _FALSE = ("true", "1", "yes", ""), ("false", "0", "no")


def fault(field: str, message: str, hint: str = "", *, file: str = "query") -> Invalid:
    return Invalid([Fault(file, 0, 0, field, message, hint)])


def instant(name: str, now: int, default: int) -> int:
    """A moment: epoch ms (`1763888888123`), RFC 3339 (`2026-11-23T10:00:00Z`), or back from now (`1h`, `-24h`, `now`)."""
    text = request.args.get(name, "").strip()
    return parse_instant(text, now, field=name) if text else default


def parse_instant(text: str, now: int, *, field: str, file: str = "query") -> int:
    hint = "epoch milliseconds, RFC 3339 as in 2026-11-23T10:00:00Z, or back from now as in 1h or -24h"
    if text == "now":
        return now
    try:
        if re.fullmatch(r"\d{1,15}", text, re.ASCII):
            found = int(text)
        elif re.match(r"\d{4}-", text, re.ASCII):
            # A + in a query that was not encoded arrives as a space.
            moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
            found = int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)
        else:
            found = now - int(parse_duration(text.lstrip("-")) * 1000)
    except (ValueError, OverflowError) as error:
        raise fault(field, f"{text[:64]!r} is no moment", hint, file=file) from error
    if not 0 <= found <= LATEST:
        raise fault(field, f"{text[:64]!r} is outside 1970 to 9999", hint, file=file)
    return found


def duration(name: str, default: int = 0) -> int:
    """A duration (`30s`, `5m`, or milliseconds) in milliseconds."""
    text = request.args.get(name, "").strip()
    if not text:
        return default
    try:
        if re.fullmatch(r"\d{1,12}", text, re.ASCII):
            return int(text)
        return int(parse_duration(text) * 1000)
    except ValueError as error:
        raise fault(name, str(error)) from error


def flag(name: str) -> bool:
    """`?name`, `?name=true`, `?name=1` are true."""
    text = request.args.get(name)
    if text is None or text.lower() in _FALSE:
        return False
    if text.lower() in _TRUE:
        return True
    raise fault(name, f"{text[:64]!r} is neither true nor false")


def limit(default: int = 100) -> int:
    text = request.args.get("limit", "").strip()
    if not text:
        return default
    if not re.fullmatch(r"\d{1,6}", text, re.ASCII) or not 1 <= int(text) <= MOST_ITEMS:
        raise fault("limit", f"must be a number from 1 to {MOST_ITEMS}")
    return int(text)


def count(name: str, most: int = MOST_ITEMS) -> int:
    """A number from 0 (which stands for none given) to `most`."""
    text = request.args.get(name, "").strip()
    if text and (not re.fullmatch(r"\d{1,6}", text, re.ASCII) or int(text) > most):
        raise fault(name, f"must be a number from 0 to {most}")
    return int(text or 0)


def word(name: str, known: Iterable[str] = (), default: str = "") -> str:
    """A short text; one of `known` where they are given."""
    text = request.args.get(name, "")
    choices = list(known)
    if len(text) > 256 or not text.isprintable():
        raise fault(name, "is too long or has control characters")
    if text and choices and text not in choices:
        raise fault(name, f"{text[:64]!r} is none of {', '.join(choices)}")
    return text or default


def page_of(items: list[Json], key: str = "name") -> Json:
    """One page of a list ordered by `key`: {"items","cursor"}; the cursor is the last key, empty at the end."""
    size, after = limit(), word("cursor")
    rest = [item for item in items if str(item[key]) > after] if after else items
    return {"items": rest[:size], "cursor": str(rest[size - 1][key]) if len(rest) > size else ""}


def known_name(text: str, noun: str) -> str:
    """`text` if it can be a name at all; else there is no such thing. Errors: `NotFound`."""
    if not is_name(text):
        raise NotFound(f"there is no {noun} {text[:64]!r}; names are a-z, 0-9 and -, at most 63")
    return text


def new_name(text: str, field: str) -> str:
    """`text` if it may name something. Errors: `Invalid` with the nearest name that may."""
    if not is_name(text):
        nearest = to_name(text)
        hint = f"{nearest} would do" if nearest else ""
        raise fault(field, "names are a-z, 0-9 and -, at most 63 characters", hint, file="path")
    return text


def body_bytes(most: int) -> bytes:
    """The body, at most `most` bytes. Errors: 413."""
    request.max_content_length = most
    return request.get_data(cache=False)


def body_object(most: int = 256 * 1024, *, optional: bool = False) -> Json:
    """The body as a JSON object. Errors: 413, 415, `Invalid`."""
    expect_json()
    raw = body_bytes(most)
    if not raw and optional:
        return {}
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise fault("", f"the body is not JSON: {error}", file="body") from error
    if not isinstance(found, dict):
        raise fault("", "the body must be a JSON object", file="body")
    return found


def expect_json() -> None:
    """Errors: 415 when a type is given and it is not JSON."""
    kind = request.mimetype
    if kind and kind != "application/json" and not kind.endswith("+json"):
        raise Problem(415, f"{kind} is not understood here; send -H 'Content-Type: application/json'")


class Fields:
    """The members of a JSON object, checked together: `done` raises every fault at once."""

    def __init__(self, found: Json) -> None:
        self._found = dict(found)
        self._faults: list[Fault] = []

    def text(self, name: str, *, default: str | None = None, most: int = 1024) -> str:
        value = self._found.pop(name, default)
        if value is None:
            self._fault(name, "is missing")
        elif not isinstance(value, str) or len(value) > most:
            self._fault(name, f"must be text of at most {most} characters")
        elif not value.isprintable():
            self._fault(name, "has control characters")
        else:
            return value
        return ""

    def texts(self, name: str, *, default: list[str] | None = None) -> list[str]:
        value = self._found.pop(name, default)
        if not isinstance(value, list) or len(value) > 100 or not all(isinstance(entry, str) for entry in value):
            self._fault(name, "must be a list of texts")
            return []
        return value

    def moment(self, name: str, now: int, *, default: int | None = None, ahead: bool = False) -> int:
        """Epoch ms, RFC 3339 or a duration: back from now, or `ahead` of it."""
        value = self._found.pop(name, default)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LATEST:
            return value
        if isinstance(value, str):
            try:
                found = parse_instant(value, now, field=name, file="body")
            except Invalid as error:
                self._faults += error.faults
                return 0
            is_duration = not re.match(r"\d{4}-|\d+$|now$", value)
            return 2 * now - found if ahead and is_duration else found
        self._fault(
            name, "is missing" if value is None else "is no moment", "epoch ms, RFC 3339, or a duration such as 2h"
        )
        return 0

    def done(self) -> None:
        """Errors: `Invalid` with everything that was wrong, unknown members included."""
        for name in self._found:
            self._fault(name[:64], "is not known")
        if self._faults:
            raise Invalid(self._faults)

    def _fault(self, name: str, message: str, hint: str = "") -> None:
        self._faults.append(Fault("body", 0, 0, name, message, hint))


def etag(version: str) -> str:
    return f'"{version}"'


def condition(exists: bool) -> str:
    """What `If-Match` asks for, unquoted; "" for any. Errors: 412, 428 (RFC 6585, 3).

    A change of something that exists must say which version it changes (`If-Match: "<etag>"`, or `*` for whichever).
    """
    asked = request.headers.get("If-Match", "").strip()
    if request.headers.get("If-None-Match", "").strip() == "*" and exists:
        raise Problem(412, "it exists already")
    if exists and not asked and request.headers.get("If-None-Match") is None:
        raise Problem(428, "it exists: send If-Match with the ETag that was read, or If-Match: * to overwrite it")
    if not exists and asked:
        raise Problem(412, "it does not exist any more")
    return "" if asked == "*" else asked.removeprefix("W/").strip('"')
