"""A rule made ready to be judged: its condition as a function, its durations in milliseconds, its message parsed.

One `Terms` is shared by the machines of all devices the rule concerns, so that a machine holds little more than memory.
"""

from __future__ import annotations

import fnmatch
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from edge_agent.domain.rules.conditions import Condition, Holds, condition_of
from edge_agent.domain.rules.spec import Rule
from edge_agent.domain.rules.wording import Template

_THRESHOLDS = ("above", "below", "clear_above", "clear_below", "outside")
_MEANING = ("reading", *_THRESHOLDS, "equals", "changed_by", "rate_per_minute", "missing_for", "every")


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """`meaning` is a fingerprint of reading and condition: what a machine remembers is of use to the same meaning only,
    whatever has become of severity, message, `for` or cooldown meanwhile. Lengths end in `_ms`; None is "not set"."""

    rule: Rule
    condition: Condition
    kinds: frozenset[type]
    holds: Holds
    concerns: Callable[[str], Any]
    meaning: int
    for_ms: int
    cooldown_ms: int
    missing_ms: int
    late_ms: int
    deadband: float | None
    silence_ms: int | None
    begins: Template
    ends: Template

    @classmethod
    def of(cls, rule: Rule, late_after_s: float) -> Terms:
        """Raises `ValueError` for a rule without a condition or with a bad template; `wire` refuses those before."""
        condition = condition_of(rule)
        begins = Template.parse(rule.message or "{device}: " + condition.says)
        over = "{device}: {rule} is over" + (", {reading} is {value}" if rule.reading else "")
        return cls(
            rule=rule,
            condition=condition,
            kinds=condition.kinds,
            holds=condition.holds,
            concerns=re.compile(fnmatch.translate(rule.devices)).match,
            meaning=zlib.crc32(msgspec.json.encode([getattr(rule, name) for name in _MEANING])),
            for_ms=_ms(rule.for_),
            cooldown_ms=_ms(rule.cooldown),
            missing_ms=_ms(rule.missing_for or 0.0),
            late_ms=_ms(late_after_s),
            deadband=rule.deadband,
            silence_ms=None if rule.longest_silence is None else _ms(rule.longest_silence),
            begins=begins,
            ends=begins if rule.message and begins.uses("state") else Template.parse(over),
        )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
