"""A Rule's `spec` as written in a manifest, read into `Rule`, and back.

`parse_rule` finds every fault of a document at once and raises nothing; the manifest layer turns the paths of faults into
lines and columns. A `Rule` that comes out can be judged without ever failing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from edge_agent.domain.durations import format_duration
from edge_agent.domain.rules.fields import FIELDS, NAME_HINT, Wrong, nearest
from edge_agent.domain.rules.spec import Rule
from edge_agent.domain.topics import is_name

CONDITIONS = ("above", "below", "outside", "equals", "changedBy", "ratePerMinute", "missingFor", "every")


@dataclass(frozen=True, slots=True)
class RuleFault:
    """`path` leads into `spec` (keys and list places); () is the spec itself, ("metadata", "name") the rule's name."""

    path: tuple[str | int, ...]
    message: str
    hint: str = ""


def parse_rule(name: str, spec: Any) -> tuple[Rule | None, list[RuleFault]]:
    """The rule, or None and everything that is wrong with it."""
    faults: list[RuleFault] = []
    if not isinstance(name, str) or not is_name(name):
        faults.append(RuleFault(("metadata", "name"), f"{name!r} is not a name", NAME_HINT))
    if not isinstance(spec, Mapping):
        return None, [*faults, RuleFault((), "must be a mapping", "devices, reading, a condition, and what to do")]
    found: dict[str, Any] = {}
    for key, value in spec.items():
        field = FIELDS.get(key) if isinstance(key, str) else None
        if field is None:
            faults.append(RuleFault((str(key),), "is no field of a rule", nearest(str(key), FIELDS)))
            continue
        try:
            found[key] = field.read(value)
        except Wrong as wrong:
            faults += [RuleFault((key, *place), message, hint) for place, message, hint in wrong.faults]
    faults += _together(found, set(map(str, spec)))
    if faults:
        return None, faults
    return Rule(name=name, **{FIELDS[key].of: value for key, value in found.items()}), []


def to_spec(rule: Rule) -> dict[str, Any]:
    """The `spec` that `parse_rule` reads back as `rule`; what is at its default is left out."""
    spec: dict[str, Any] = {"devices": rule.devices}
    defaults = {field.name: field.default for field in msgspec.structs.fields(Rule)}
    for key, field in FIELDS.items():
        value = getattr(rule, field.of)
        if value == defaults[field.of] and type(value) is type(defaults[field.of]):
            continue
        if field.lasts:
            value = format_duration(value)
        spec[key] = [_plain(item) for item in value] if isinstance(value, tuple) else _plain(value)
    return spec


def _plain(value: Any) -> Any:
    """20.0 as people write it: 20."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _together(found: Mapping[str, Any], written: set[str]) -> Iterator[RuleFault]:
    """What is wrong between fields. `found` are those that are well in themselves, `written` all there are."""
    conditions = [word for word in CONDITIONS if word in written and (word != "every" or found.get(word) is not False)]
    if found.get("every") is False and not conditions:
        yield RuleFault(("every",), "must be true where it is the only condition", "leave it out and name a condition")
    elif not conditions:
        yield RuleFault((), "has no condition", f"one of {', '.join(CONDITIONS)}")
    elif len(conditions) > 1 and set(conditions) != {"above", "below"}:
        yield RuleFault(
            (conditions[1],), f"contradicts {conditions[0]}: a rule has one condition", "write a second rule for it"
        )
    if "reading" not in written and not {"missingFor", "every"} & set(conditions):
        yield RuleFault((), "names no reading", "reading: the name of what it watches, as in level")
    yield from _limits(found, conditions)
    yield from _times(found, written, conditions)
    if "every" in conditions and "runOn" in written:
        yield RuleFault(("runOn",), "has no meaning with every", "each message is an event; there is no end to run on")


def _limits(found: Mapping[str, Any], conditions: list[str]) -> Iterator[RuleFault]:
    low, high = found.get("outside", (found.get("below"), found.get("above")))
    if "above" in found and "below" in found and found["above"] >= found["below"]:
        hint = f"above and below together mean between; for outside write outside: [{low:g}, {high:g}]"
        yield RuleFault(("below",), f"must be more than above ({high:g}), or nothing is ever between", hint)
    up, down = found.get("clearAbove"), found.get("clearBelow")
    for key, clear, limit, goes_with, other in (
        ("clearAbove", up, low, "below", "clearBelow"),
        ("clearBelow", down, high, "above", "clearAbove"),
    ):
        if clear is None or not conditions:
            continue
        if not {goes_with, "outside"} & set(conditions):
            opposite = {"above": "below", "below": "above"}[goes_with]
            hint = f"with {opposite} write {other}" if opposite in conditions else ""
            yield RuleFault((key,), f"goes with {goes_with} or outside only", hint)
        elif limit is not None and (clear < limit if key == "clearAbove" else clear > limit):
            side = "at least" if key == "clearAbove" else "at most"
            yield RuleFault(
                (key,),
                f"is on the wrong side: must be {side} {limit:g}",
                "the gap between the two keeps it from flapping",
            )
    if "outside" in found and up is not None and down is not None and up >= down:
        yield RuleFault(("clearAbove",), f"must be less than clearBelow ({down:g}), or it never clears")


def _times(found: Mapping[str, Any], written: set[str], conditions: list[str]) -> Iterator[RuleFault]:
    waits = {
        "every": "each message is an event",
        "missingFor": "it is a duration itself",
        "changedBy": "a jump has no duration",
    }
    for word in conditions:
        if word in waits and found.get("for"):
            yield RuleFault(("for",), f"cannot go with {word}: {waits[word]}", "use cooldown to hear of it less often")
    if "longestSilence" in found and "deadband" not in written:
        yield RuleFault(("longestSilence",), "needs a deadband", "it says how long the deadband may keep quiet")
    if "deadband" in found:
        if "missingFor" in conditions:
            yield RuleFault(("deadband",), "cannot go with missingFor", "a reading that does not change is not missing")
        elif isinstance(found.get("equals"), (bool, str)):
            yield RuleFault(("deadband",), "needs numbers", "equals compares with something else here")
        elif "every" in conditions and "reading" not in found:
            yield RuleFault(("deadband",), "needs a reading", "reading: the one whose change counts")
