"""The words of a condition, each turned into one function: does it hold, given this value and the one before?

A `Rule` enters, a `Condition` leaves. Its `holds(value, previous, elapsed_ms, firing)` is pure and called for every
reading that concerns the rule; `firing` lets hysteresis answer "does it still hold?". None means "cannot be judged".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from edge_agent.domain.durations import format_duration
from edge_agent.domain.rules.spec import Rule
from edge_agent.domain.rules.wording import show

Holds: TypeAlias = Callable[[Any, Any, int, bool], bool | None]

NUMBER = frozenset({int, float})
ANYTHING: frozenset[type] = frozenset({int, float, bool, str})
GRAIN = 1e-9
"""Differences are compared this generously: 20.4 - 20.3 is a little less than 0.1 in binary."""


@dataclass(frozen=True, slots=True)
class Condition:
    """`kinds` are the types of value it can judge (a boolean is no number); `says` tells a person when it is met, after
    "{device}: "; `momentary` conditions are true of an instant and cannot be held back or last."""

    word: str
    holds: Holds
    kinds: frozenset[type]
    says: str
    momentary: bool = False


def condition_of(rule: Rule) -> Condition:
    """The one condition of `rule`. Raises `ValueError` when there is none (manifests are refused before: `wire`)."""
    if rule.every:
        kinds = ANYTHING if rule.deadband is None else NUMBER
        return Condition("every", _always, kinds, "{reading} is {value}" if rule.reading else "a message came", True)
    if rule.missing_for is not None:
        silent = f"no {rule.reading}" if rule.reading else "nothing heard"
        return Condition("missingFor", _always, ANYTHING, f"{silent} for {format_duration(rule.missing_for)}")
    if rule.outside is not None:
        low, high = rule.outside
        return Condition(
            "outside", _outside(rule), NUMBER, f"{{reading}} is {{value}}, outside {show(low)} to {show(high)}"
        )
    if rule.above is not None or rule.below is not None:
        return _threshold(rule)
    if rule.equals is not None:
        kinds = NUMBER if type(rule.equals) in NUMBER else frozenset({type(rule.equals)})
        return Condition("equals", _equals(rule), kinds, "{reading} is {value}")
    if rule.changed_by is not None:
        said = "{reading} went from {previous} to {value}"
        return Condition("changedBy", _changed_by(rule.changed_by), NUMBER, said, True)
    if rule.rate_per_minute is not None:
        way = "rising" if rule.rate_per_minute > 0 else "falling"
        said = f"{{reading}} is {way} by {show(abs(rule.rate_per_minute))} a minute or more, now {{value}}"
        return Condition("ratePerMinute", _rate(rule.rate_per_minute), NUMBER, said)
    raise ValueError(f"rule {rule.name} has no condition")


def _always(value: Any, previous: Any, elapsed: int, firing: bool) -> bool:
    return True


def _threshold(rule: Rule) -> Condition:
    above, below = rule.above, rule.below
    if above is None and below is not None:
        return Condition(
            "below", _below(below, rule.clear_above), NUMBER, f"{{reading}} is {{value}}, below {show(below)}"
        )
    if above is not None and below is None:
        return Condition(
            "above", _above(above, rule.clear_below), NUMBER, f"{{reading}} is {{value}}, above {show(above)}"
        )
    under, over = _below(below or 0.0, rule.clear_above), _above(above or 0.0, rule.clear_below)

    def between(value: Any, previous: Any, elapsed: int, firing: bool) -> bool | None:
        return over(value, previous, elapsed, firing) and under(value, previous, elapsed, firing)

    return Condition("above", between, NUMBER, f"{{reading}} is {{value}}, between {show(above)} and {show(below)}")


def _below(limit: float, clear: float | None) -> Holds:
    if clear is None:
        return lambda value, previous, elapsed, firing: value < limit
    return lambda value, previous, elapsed, firing: value <= clear if firing else value < limit


def _above(limit: float, clear: float | None) -> Holds:
    if clear is None:
        return lambda value, previous, elapsed, firing: value > limit
    return lambda value, previous, elapsed, firing: value >= clear if firing else value > limit


def _outside(rule: Rule) -> Holds:
    low, high = rule.outside or (0.0, 0.0)
    under, over = _below(low, rule.clear_above), _above(high, rule.clear_below)

    def outside(value: Any, previous: Any, elapsed: int, firing: bool) -> bool | None:
        return under(value, previous, elapsed, firing) or over(value, previous, elapsed, firing)

    return outside


def _equals(rule: Rule) -> Holds:
    wanted = rule.equals
    return lambda value, previous, elapsed, firing: bool(value == wanted)


def _changed_by(step: float) -> Holds:
    return lambda value, previous, elapsed, firing: previous is not None and abs(value - previous) >= step - GRAIN


def _rate(limit: float) -> Holds:
    def steep(value: Any, previous: Any, elapsed: int, firing: bool) -> bool | None:
        if previous is None:
            return False
        if elapsed <= 0:
            return None  # two values of one instant have no slope
        slope = (value - previous) * 60_000 / elapsed
        return bool(slope >= limit if limit > 0 else slope <= limit)

    return steep
