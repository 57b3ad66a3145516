"""JSON without its traps: duplicate keys, NaN, numbers that overflow, endless nesting, half surrogates.

Enters: bytes. Leaves: dicts, lists and scalars, or `Poison` saying which trap it was.
The fast decoders (msgspec, orjson) keep the last of two equal keys and skip fields they do not know unseen, so this
slower reader has the last word on every message that is not plainly good.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any

from edge_agent.decode.poison import MAX_DEPTH, MAX_INTEGER, Poison

# An unterminated string is taken to the end: tried anew at every quote, hostile input would cost quadratic time.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SURROGATE = re.compile("[\ud800-\udfff]")


class Bad:
    """Stands in the tree where something was that JSON allows or tolerates and we do not."""

    __slots__ = ("poison",)

    def __init__(self, reason: str, detail: str) -> None:
        self.poison = Poison(reason, detail)


def loads(payload: bytes) -> Any:
    """The whole document, or the first thing wrong with it. Raises `Poison`."""
    tree = lenient(payload)
    check(tree)
    return tree


def lenient(payload: bytes) -> Any:
    """The document with `Bad` in place of what is bad, so that the good parts of a batch can be told from the others.

    Raises `Poison` where there is no telling: not UTF-8, not JSON, nested too deep.
    """
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Poison("bad-utf8", f"byte {error.start}: {error.reason}") from None
    _check_depth(payload)
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise Poison("not-json", f"character {error.pos}: {error.msg}") from None


def check(tree: Any) -> None:
    """Raise the first `Poison` inside `tree`."""
    if isinstance(tree, Bad):
        raise tree.poison
    if isinstance(tree, str) and _SURROGATE.search(tree):
        raise Poison("bad-utf8", "half of a surrogate pair is no character")
    if isinstance(tree, dict):
        for key, value in tree.items():
            check(key)
            check(value)
    elif isinstance(tree, list):
        for value in tree:
            check(value)


def _check_depth(payload: bytes) -> None:
    if payload.count(b"[") + payload.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _STRING.sub(b"", payload).translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise Poison("too-deep", f"nested more than {MAX_DEPTH} levels")


def _object(pairs: list[tuple[str, Any]]) -> Any:
    fields = dict(pairs)
    if len(fields) == len(pairs):
        return fields
    twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
    return Bad("duplicate-key", f"{twice[:64]!r} is there more than once")


def _integer(text: str) -> Any:
    # 2**53 has 16 digits; int() of thousands of digits would be slow, or refused by Python itself.
    if len(text) > 18 or abs(int(text)) > MAX_INTEGER:
        return Bad("bad-number", f"{text[:32]} is beyond 2**53")
    return int(text)


def _float(text: str) -> Any:
    value = float(text)
    return value if math.isfinite(value) else Bad("bad-number", f"{text[:32]} is too large")


def _constant(text: str) -> Any:
    return Bad("bad-number", f"{text} is no number")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)
