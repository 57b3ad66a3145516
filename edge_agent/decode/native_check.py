"""The shape of one native reading, twice: for msgspec, which is fast, and in plain Python, which says what is wrong."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from edge_agent.decode.poison import MAX_AGE, MAX_INTEGER, MAX_STRING, MAX_TIME, Poison
from edge_agent.decode.values import check_name, json_type, value_of
from edge_agent.domain.reading import MAX_READINGS, Value
from edge_agent.domain.topics import is_name

MAX_BOOT = 32

_Value = (
    Annotated[int, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)] | float | bool | Annotated[str, Meta(max_length=MAX_STRING)]
)


class Wire(msgspec.Struct, gc=False):
    """One reading as it was on the wire. msgspec checks types and limits while it reads; names are left to us."""

    boot: Annotated[str, Meta(min_length=1, max_length=MAX_BOOT)]
    seq: Annotated[int, Meta(ge=1, le=MAX_INTEGER)]
    readings: Annotated[dict[str, _Value], Meta(min_length=1, max_length=MAX_READINGS)]
    t: Annotated[int, Meta(ge=0, le=MAX_TIME)] | UnsetType | None = UNSET
    age: Annotated[int, Meta(ge=0, le=MAX_AGE)] = 0
    oldest: Annotated[int, Meta(ge=0, le=MAX_INTEGER)] = 0


def checked(tree: Any) -> Wire:
    """The reading in a document `strict_json` has read, field by field. Raises `Poison` with the exact reason."""
    if not isinstance(tree, dict):
        raise Poison("wrong-type", f"a reading is an object, not {json_type(tree)}")
    missing = [name for name in ("boot", "seq", "readings") if name not in tree]
    if missing:
        raise Poison("missing-field", f"without {', '.join(missing)}")
    t = tree.get("t", UNSET)
    return Wire(
        boot=_boot(tree["boot"]),
        seq=_integer("seq", tree["seq"], 1, MAX_INTEGER),
        readings=_readings(tree["readings"]),
        t=t if t is None or t is UNSET else _integer("t", t, 0, MAX_TIME, "bad-time"),
        age=_integer("age", tree.get("age", 0), 0, MAX_AGE, "bad-time"),
        oldest=_integer("oldest", tree.get("oldest", 0), 0, MAX_INTEGER),
    )


def identity(tree: Any) -> tuple[str, int] | None:
    """(boot, seq) of a reading that is bad elsewhere; None where these cannot be read either."""
    if not isinstance(tree, dict):
        return None
    try:
        return _boot(tree.get("boot")), _integer("seq", tree.get("seq"), 1, MAX_INTEGER)
    except Poison:
        return None


def _boot(raw: Any) -> str:
    if not isinstance(raw, str):
        raise Poison("wrong-type", f"boot is a string, not {json_type(raw)}")
    if len(raw) > MAX_BOOT or not is_name(raw):
        raise Poison("bad-name", f"boot {raw[:64]!r} is not [0-9a-z-]{{1,{MAX_BOOT}}}")
    return raw


def _integer(field: str, raw: Any, low: int, high: int, reason: str = "bad-number") -> int:
    if type(raw) is not int:
        raise Poison("wrong-type", f"{field} is an integer, not {raw if isinstance(raw, float) else json_type(raw)}")
    if not low <= raw <= high:
        raise Poison(reason, f"{field} {raw} is not within {low}..{high}")
    return raw


def _readings(raw: Any) -> dict[str, Value]:
    if not isinstance(raw, dict):
        raise Poison("wrong-type", f"readings is an object, not {json_type(raw)}")
    if not raw:
        raise Poison("no-readings", "readings is empty")
    if len(raw) > MAX_READINGS:
        raise Poison("too-many-readings", f"{len(raw)} readings, {MAX_READINGS} at most")
    for name in raw:
        check_name(name)
    return {name: value_of(value) for name, value in raw.items()}
