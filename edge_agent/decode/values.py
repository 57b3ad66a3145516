"""Names and values of readings: what is taken as it is, what is translated, what is refused."""

from __future__ import annotations

import math
import unicodedata
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from edge_agent.decode.poison import MAX_INTEGER, MAX_STRING, Poison
from edge_agent.domain.reading import MAX_READINGS, Value
from edge_agent.domain.topics import is_name, to_name


def check_name(text: str) -> None:
    if not is_name(text):
        raise Poison("bad-name", f"{text[:80]!r} is not [a-z0-9-]{{1,63}}")


@lru_cache(maxsize=4096)
def name_of(text: str) -> str:
    """The name we give to what another project calls a thing: `Küche/Licht_1` becomes `kuche-licht-1`.

    Letters that have no Latin form are kept apart by a checksum: `温度` and `湿度` must not both end as the same name.
    """
    plain = unicodedata.normalize("NFKD", text)
    latin = "".join(letter for letter in plain if letter.isascii())
    lost = any(not letter.isascii() and not unicodedata.combining(letter) for letter in plain)
    name = to_name(latin)
    if lost or not name:
        return f"{name[:50] or 'device'}-{zlib.crc32(text.encode('utf-8', 'surrogatepass')):08x}"
    return name


def value_of(raw: Any) -> Value:
    """`raw` if it may be a reading. Raises `Poison`."""
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, int):
        if abs(raw) > MAX_INTEGER:
            raise Poison("bad-number", f"{str(raw)[:32]} is beyond 2**53")
        return raw
    if isinstance(raw, float):
        if not math.isfinite(raw):
            raise Poison("bad-number", f"{raw} is no number")
        return raw
    if isinstance(raw, str):
        if len(raw) > MAX_STRING:
            raise Poison("too-long", f"a string of {len(raw)} characters, {MAX_STRING} at most")
        return raw
    raise Poison("wrong-type", f"a reading is a number, a boolean or a string, not {json_type(raw)}")


def translated(fields: Mapping[str, Any]) -> dict[str, Value]:
    """Readings of a foreign dialect: null and nested things left out, ON and OFF made booleans, names made ours."""
    values: dict[str, Value] = {}
    for key, raw in fields.items():
        if raw is None or isinstance(raw, dict | list):
            continue
        values[name_of(key)] = {"ON": True, "OFF": False}.get(raw, raw) if isinstance(raw, str) else raw
        value_of(raw)
    if len(values) > MAX_READINGS:
        raise Poison("too-many-readings", f"{len(values)} readings, {MAX_READINGS} at most")
    return values


def json_type(raw: Any) -> str:
    """What JSON calls it."""
    names = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
    }
    return names.get(type(raw), "null" if raw is None else type(raw).__name__)
