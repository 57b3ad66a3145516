"""The fields of a Rule's `spec` (INTERFACE: Manifests), one by one: what each may hold and what it becomes.

A value as YAML or JSON gave it enters; the value of `Rule` leaves, or `Wrong` says what is the matter. How fields go
together is judged by `wire`.
"""

from __future__ import annotations

import difflib
import fnmatch
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from edge_agent.domain.alert import SEVERITIES
from edge_agent.domain.durations import parse_duration
from edge_agent.domain.rules.wording import Template
from edge_agent.domain.topics import is_name

STATES = ("firing", "resolved")
Place: TypeAlias = tuple[int, ...]
Item = TypeVar("Item")
NAME_HINT = "1 to 63 of a-z, 0-9 and -"


class Wrong(Exception):
    """One or more things wrong with one field. `faults`: (where below the field, for lists; message; hint)."""

    def __init__(self, message: str = "", hint: str = "", faults: Sequence[tuple[Place, str, str]] = ()) -> None:
        super().__init__(message)
        self.faults = list(faults) or [((), message, hint)]


def number(value: Any) -> float:
    if type(value) not in (int, float):
        raise Wrong(f"must be a number, is {_kind(value)}", _unquoted(value))
    if not math.isfinite(value) or abs(value) > 2**53:
        raise Wrong("must be a finite number of at most 2**53")
    return float(value)


def positive(value: Any) -> float:
    if number(value) <= 0:
        raise Wrong("must be more than 0")
    return float(value)


def slope(value: Any) -> float:
    if number(value) == 0:
        raise Wrong("must not be 0", "positive for rising, negative for falling")
    return float(value)


def duration(value: Any) -> float:
    if type(value) in (int, float):
        raise Wrong("must be a duration with its unit", f"write {value}s for seconds, {value}m for minutes")
    try:
        return parse_duration(_text(value))
    except ValueError as error:
        raise Wrong(str(error)) from None


def some_time(value: Any) -> float:
    seconds = duration(value)
    if seconds <= 0:
        raise Wrong("must be longer than 0s")
    return seconds


def yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Wrong(f"must be true or false, is {_kind(value)}")
    return value


def band(value: Any) -> tuple[float, float]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise Wrong("must be two numbers", "as in [10, 30]")
    low, high = _each(number, value)
    if low >= high:
        raise Wrong("must begin with the lower limit", "as in [10, 30]")
    return low, high


def constant(value: Any) -> float | int | bool | str:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if len(value) > 256:
            raise Wrong("is longer than any reading (256 characters)")
        return value
    number(value)
    return value  # type: ignore[no-any-return]


def name(value: Any) -> str:
    if not is_name(_text(value)):
        better = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")[:63]
        raise Wrong(f"{value[:80]!r} is not a name", f"{NAME_HINT}, as in {better}" if better else NAME_HINT)
    return str(value)


def glob(value: Any) -> str:
    text = _text(value)
    if not text or len(text) > 253:
        raise Wrong("must be a name or a pattern", "as in tank-1, tank-* or *")
    if not re.fullmatch(r"(?:[a-z0-9*?-]|\[!?[a-z0-9-]+\])+", text):
        hint = (
            "close the bracket"
            if text.count("[") != text.count("]")
            else "a-z, 0-9, -, and *, ? and [abc] as wildcards"
        )
        raise Wrong(f"{text[:80]!r} can match no device", hint)
    brackets = " ".join(re.findall(r"\[!?([^\]]*)\]", text))
    if any(low > high for low, high in re.findall(r"([a-z0-9])-([a-z0-9])", brackets)):
        raise Wrong(f"{text[:80]!r} can match no device", "write the range upwards, as in [a-c]")
    re.compile(fnmatch.translate(text))
    return text


def severity(value: Any) -> str:
    return _one_of(SEVERITIES, value)


def template(value: Any) -> str:
    try:
        Template.parse(_text(value))
    except ValueError as error:
        raise Wrong(str(error), "as in {device} is down to {value}") from None
    return str(value)


def names(value: Any) -> tuple[str, ...]:
    return _list(name, value)


def states(value: Any) -> tuple[str, ...]:
    found = _list(lambda item: _one_of(STATES, item), value)
    if not found:
        raise Wrong("must name at least one state", f"one or both of {', '.join(STATES)}")
    return found


@dataclass(frozen=True, slots=True)
class Field:
    """`of` is the field's name in `Rule`, `read` what judges it, `lasts` whether it is a time in seconds."""

    of: str
    read: Callable[[Any], Any]

    @property
    def lasts(self) -> bool:
        return self.read in (duration, some_time)


FIELDS: Mapping[str, Field] = {
    "devices": Field("devices", glob),
    "reading": Field("reading", name),
    "above": Field("above", number),
    "below": Field("below", number),
    "clearAbove": Field("clear_above", number),
    "clearBelow": Field("clear_below", number),
    "outside": Field("outside", band),
    "equals": Field("equals", constant),
    "changedBy": Field("changed_by", positive),
    "ratePerMinute": Field("rate_per_minute", slope),
    "missingFor": Field("missing_for", some_time),
    "every": Field("every", yes_or_no),
    "for": Field("for_", duration),
    "cooldown": Field("cooldown", duration),
    "deadband": Field("deadband", positive),
    "longestSilence": Field("longest_silence", some_time),
    "severity": Field("severity", severity),
    "message": Field("message", template),
    "run": Field("run", names),
    "runOn": Field("run_on", states),
    "notify": Field("notify", names),
}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Wrong(f"must be text, is {_kind(value)}")
    return value


def _one_of(known: tuple[str, ...], value: Any) -> str:
    if _text(value) not in known:
        raise Wrong(f"{value[:80]!r} is none of {', '.join(known)}", nearest(value, known))
    return str(value)


def _list(read: Callable[[Any], str], value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise Wrong("must be a list", f"as in [{value[:80]}]")
    if not isinstance(value, (list, tuple)):
        raise Wrong(f"must be a list, is {_kind(value)}")
    found = _each(read, value)
    for place, item in enumerate(found):
        if item in found[:place]:
            raise Wrong(faults=[((place,), f"{item!r} is there twice", "")])
    return found


def _each(read: Callable[[Any], Item], items: Sequence[Any]) -> tuple[Item, ...]:
    found: list[Item] = []
    faults: list[tuple[Place, str, str]] = []
    for place, item in enumerate(items):
        try:
            found.append(read(item))
        except Wrong as wrong:
            faults += [((place, *below), message, hint) for below, message, hint in wrong.faults]
    if faults:
        raise Wrong(faults=faults)
    return tuple(found)


def nearest(text: str, known: Iterable[str]) -> str:
    """A hint: the known word that was probably meant, or nothing."""
    words = {word.lower(): word for word in known}
    found = difflib.get_close_matches(text.lower().replace("_", "").replace("-", ""), words, n=1)
    return f"did you mean {words[found[0]]}?" if found else ""


def _kind(value: Any) -> str:
    names = {bool: "true or false", str: "text", dict: "a mapping", list: "a list", type(None): "empty"}
    return names.get(type(value), "a number" if isinstance(value, (int, float)) else type(value).__name__)


def _unquoted(value: Any) -> str:
    try:
        return f"write {float(value):g} without quotes" if isinstance(value, str) else ""
    except ValueError:
        return ""
