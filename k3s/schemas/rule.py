"""The fields of a Rule's `spec`, and what CEL judges between them."""

from __future__ import annotations

from edge_agent.domain.alert import SEVERITIES
from edge_agent.domain.rules.fields import FIELDS, STATES
from edge_agent.domain.rules.wording import LONGEST_TEMPLATE
from schemas.values import (
    FAR,
    Schema,
    duration,
    judged,
    lasts,
    listed,
    name,
    number,
    one_of,
    positive,
    rule,
    same,
    single,
    table,
    text,
    told,
)

_MESSAGE = r"^([^{}]|[{][{]|[}][}]|[{][a-z0-9-]{1,63}(:[.][0-9]f)?[}])*$"
_GLOB = r"^([a-z0-9*?-]|\[!?[a-z0-9-]+\])+$"


def conditions() -> list[Schema]:
    """Exactly one. CEL sees all but `equals`, which has no type, and judges those; the schema judges `equals` among them."""
    return [
        {"required": [word]}
        for word in ("above", "below", "outside", "equals", "changedBy", "ratePerMinute", "missingFor")
    ] + [{"required": ["every"], "properties": {"every": {"enum": [True]}}}]


def rule_spec() -> Schema:
    unique = rule("self.all(one, self.exists_one(other, other == one))", "one of them is there twice")
    fields = {
        "devices": told(
            "Name or glob of the boards it watches: tank-1, tank-*, [a-c]*. All when absent.",
            text(253, minLength=1, pattern=_GLOB),
        ),
        "reading": told("Name of the reading it watches, as level. Only missingFor and every may do without.", name()),
        "above": told("Condition: the value is above this. With below: it is between the two.", number()),
        "below": told("Condition: the value is below this.", number()),
        "clearAbove": told("With below or outside: over only when the value is above this.", number()),
        "clearBelow": told("With above or outside: over only when the value is below this.", number()),
        "outside": told(
            "Condition: the value is outside [low, high].",
            judged(
                listed(number(), 2, minItems=2),
                rule("size(self) != 2 || self[0] < self[1]", "must begin with the lower limit, as in [10, 30]"),
            ),
        ),
        "equals": told(
            "Condition: the value is this number, text (at most 256 characters), true or false.",
            single(maxLength=256, minimum=-FAR, maximum=FAR),
        ),
        "changedBy": told("Condition: it is this far from the reading before.", positive()),
        "ratePerMinute": told(
            "Condition: it rises (negative: falls) by this within a minute.",
            judged(number(), rule("self != 0.0", "must not be 0: positive for rising, negative for falling")),
        ),
        "missingFor": told("Condition: nothing was heard for this long, as 5m.", duration("more")),
        "every": told("Condition: each message.", {"type": "boolean"}),
        "for": told("The condition must hold this long, as 30s.", duration()),
        "cooldown": told("At least this long between two alerts of a board, as 10m.", duration()),
        "deadband": told("Changes smaller than this are not looked at.", positive()),
        "longestSilence": told("With deadband: look again after this long at the latest, as 1h.", duration("more")),
        "severity": told("warning when absent.", one_of(SEVERITIES)),
        "message": told(
            "What people read: {device}, {reading}, {value}, {previous}, {rule}, {severity}, {state}, {unit} or the name of a "
            "reading; {value:.1f} has one digit.",
            judged(
                text(LONGEST_TEMPLATE),
                rule(
                    f"self.matches('{_MESSAGE}')",
                    "has an unknown field or a lone brace; as in {device} is down to {value} %",
                ),
            ),
        ),
        "run": told("Names of functions that run when it fires.", judged(listed(name(), 32), unique)),
        "runOn": told(
            "Whether they run when it fires, when it is over, or both. [firing] when absent.",
            judged(listed(one_of(STATES), 2, minItems=1), unique),
        ),
        "notify": told(
            "Channels of the configuration that tell people. [page, mqtt] when absent.",
            judged(listed(name(), 32), unique),
        ),
    }
    same("a Rule", fields, FIELDS)
    equals, *others = sorted(conditions(), key=lambda each: each["required"] != ["equals"])
    whole_rule = [{"anyOf": [equals, *others]}, {"not": {"allOf": [equals, {"anyOf": others}]}}]
    schema = {**table(fields), "allOf": whole_rule}
    return told(
        "What is watched, when it fires, and what happens then. Exactly one condition.", judged(schema, *together())
    )


def together() -> list[Schema]:
    """What is wrong between fields, as `edge_agent.domain.rules.wire` says it."""
    groups = ["has(self.above) || has(self.below)"]
    groups += [f"has(self.{word})" for word in ("outside", "changedBy", "ratePerMinute", "missingFor")]
    every = "(has(self.every) && self.every)"
    groups.append(every)
    long_for = f"(has(self.__for__) && ({lasts('self.__for__')}))"
    low, high = (
        "(has(self.outside) ? self.outside[0] : self.below)",
        "(has(self.outside) ? self.outside[1] : self.above)",
    )
    gap = "the gap between the two keeps it from flapping"
    listed_conditions = "above, below (both: between), outside, equals, changedBy, ratePerMinute, missingFor, every"
    return [
        rule(
            f"[{', '.join(groups)}].filter(each, each).size() <= 1",
            f"has more than one condition ({listed_conditions}): write a second rule for it",
        ),
        rule(
            f"has(self.reading) || has(self.missingFor) || {every}",
            "names no reading: write the name of what it watches",
            ".reading",
        ),
        rule(
            "!has(self.above) || !has(self.below) || self.above < self.below",
            "must be more than above, or nothing is ever between; for outside write outside: [low, high]",
            ".below",
        ),
        rule(
            "!has(self.clearAbove) || has(self.below) || has(self.outside)",
            "goes with below or outside only; with above write clearBelow",
            ".clearAbove",
        ),
        rule(
            f"!has(self.clearAbove) || !(has(self.below) || has(self.outside)) || self.clearAbove >= {low}",
            f"must be at least the limit: {gap}",
            ".clearAbove",
        ),
        rule(
            "!has(self.clearBelow) || has(self.above) || has(self.outside)",
            "goes with above or outside only; with below write clearAbove",
            ".clearBelow",
        ),
        rule(
            f"!has(self.clearBelow) || !(has(self.above) || has(self.outside)) || self.clearBelow <= {high}",
            f"must be at most the limit: {gap}",
            ".clearBelow",
        ),
        rule(
            "!has(self.outside) || !has(self.clearAbove) || !has(self.clearBelow) || self.clearAbove < self.clearBelow",
            "must be less than clearBelow, or it never clears",
            ".clearAbove",
        ),
        rule(
            f"!{long_for} || !({every} || has(self.missingFor) || has(self.changedBy))",
            "cannot go with every, missingFor or changedBy; use cooldown to hear of it less often",
            "['for']",
        ),
        rule("!has(self.longestSilence) || has(self.deadband)", "needs a deadband", ".longestSilence"),
        rule(
            "!has(self.deadband) || !has(self.missingFor)",
            "cannot go with missingFor: a reading that does not change is not missing",
            ".deadband",
        ),
        rule(
            f"!has(self.deadband) || !{every} || has(self.reading)",
            "needs a reading: the one whose change counts",
            ".deadband",
        ),
        rule(f"!{every} || !has(self.runOn)", "has no meaning with every: each message is an event", ".runOn"),
    ]
