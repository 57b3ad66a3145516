"""A Rule's manifest: read, refused with every fault at once, and written again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.domain.reading import Sample
from edge_agent.domain.rules.book import RuleBook
from edge_agent.domain.rules.fields import FIELDS
from edge_agent.domain.rules.spec import Rule
from edge_agent.domain.rules.wire import RuleFault, parse_rule, to_spec

TANK = {
    "devices": "tank-*", "reading": "level", "below": 20, "clearAbove": 25, "for": "30s", "cooldown": "10m",
    "severity": "critical", "message": "{device} is down to {value} %", "run": ["send-mail"], "runOn": ["firing"],
    "notify": ["page", "mqtt", "ntfy"],
}  # fmt: skip


def faults(**changes: Any) -> list[RuleFault]:
    spec = {key: value for key, value in (TANK | changes).items() if value != "-"}
    rule, found = parse_rule("tank-low", spec)
    assert (rule is None) == bool(found)
    return found


def test_the_manifest_of_the_interface_is_read() -> None:
    assert parse_rule("tank-low", TANK) == (
        Rule(
            name="tank-low", devices="tank-*", reading="level", below=20.0, clear_above=25.0, for_=30.0, cooldown=600.0,
            severity="critical", message="{device} is down to {value} %", run=("send-mail",), run_on=("firing",),
            notify=("page", "mqtt", "ntfy"),
        ),
        [],
    )  # fmt: skip


def test_it_is_written_as_it_was_read_but_for_what_is_at_its_default() -> None:
    rule, _ = parse_rule("tank-low", TANK)
    assert rule is not None
    assert to_spec(rule) == {key: value for key, value in TANK.items() if key != "runOn"}


@pytest.mark.parametrize(
    "words",
    [
        {"above": 1.5}, {"above": 1, "below": 2}, {"outside": [1, 2.5]}, {"equals": False}, {"equals": 0}, {"equals": "on"},
        {"changedBy": 2}, {"ratePerMinute": -0.5}, {"missingFor": "1m30s"}, {"every": True},
        {"below": 1, "deadband": 0.5, "longestSilence": "1h"}, {"outside": [10, 20], "clearAbove": 11, "clearBelow": 19},
        {"every": True, "deadband": 1}, {"equals": 3, "deadband": 1, "for": "1m30s"}, {"below": 1, "runOn": ["resolved"]},
        {"below": 1, "notify": []},
    ],
)  # fmt: skip
def test_every_word_is_read_and_written(words: dict[str, Any]) -> None:
    rule, found = parse_rule("r", {"reading": "level"} | words)
    assert found == []
    assert rule is not None
    assert {"reading": "level"} | words | {"devices": "*"} == to_spec(rule)
    assert parse_rule("r", to_spec(rule)) == (rule, [])


def test_every_fault_of_a_document_is_told_at_once_each_with_its_place() -> None:
    found = faults(
        clearAbov=3, below="20", **{"for": 30}, severity="bad", message="{device.__class__}", run=["ok", "Not OK", 3],
        runOn=["Firing"], notify="page", devices="Tank-*", cooldown="soon",
    )  # fmt: skip
    assert {fault.path: fault.hint for fault in found} == {
        ("clearAbov",): "did you mean clearAbove?",
        ("below",): "write 20 without quotes",
        ("for",): "write 30s for seconds, 30m for minutes",
        ("severity",): "",
        ("message",): "as in {device} is down to {value}",
        ("run", 1): "1 to 63 of a-z, 0-9 and -, as in not-ok",
        ("run", 2): "",
        ("runOn", 0): "did you mean firing?",
        ("notify",): "as in [page]",
        ("devices",): "a-z, 0-9, -, and *, ? and [abc] as wildcards",
        ("cooldown",): "",
    }


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"clearAbove": 15}, "clearAbove", "wrong side"),
        ({"below": "-", "above": 30, "clearAbove": "-", "clearBelow": 31}, "clearBelow", "wrong side"),
        ({"below": "-", "above": 30}, "clearAbove", "goes with below"),
        ({"clearBelow": 3}, "clearBelow", "goes with above"),
        ({"below": "-", "equals": 3}, "clearAbove", "goes with below"),
        ({"above": 20, "clearAbove": "-"}, "below", "more than above"),
        ({"outside": [1, 2]}, "outside", "contradicts below"),
        ({"equals": 1}, "equals", "contradicts below"),
        ({"below": "-", "clearAbove": "-"}, "", "no condition"),
        ({"below": "-", "clearAbove": "-", "every": False}, "every", "must be true"),
        ({"below": "-", "clearAbove": "-", "outside": [3, 2]}, "outside", "lower limit"),
        ({"below": "-", "clearAbove": "-", "outside": [3]}, "outside", "two numbers"),
        ({"below": "-", "outside": [10, 30], "clearAbove": 28, "clearBelow": 27}, "clearAbove", "never clears"),
        ({"below": "-", "clearAbove": "-", "every": True, "runOn": "-"}, "for", "cannot go with every"),
        ({"below": "-", "clearAbove": "-", "every": True, "for": "-"}, "runOn", "no meaning"),
        ({"below": "-", "clearAbove": "-", "missingFor": "5m"}, "for", "cannot go with missingFor"),
        ({"below": "-", "clearAbove": "-", "changedBy": 5}, "for", "cannot go with changedBy"),
        ({"below": "-", "clearAbove": "-", "changedBy": 0, "for": "-"}, "changedBy", "more than 0"),
        ({"below": "-", "clearAbove": "-", "ratePerMinute": 0}, "ratePerMinute", "not be 0"),
        ({"below": "-", "clearAbove": "-", "missingFor": "0s", "for": "-"}, "missingFor", "longer than 0s"),
        (
            {"below": "-", "clearAbove": "-", "missingFor": "5m", "for": "-", "deadband": 1},
            "deadband",
            "cannot go with missingFor",
        ),
        ({"below": "-", "clearAbove": "-", "equals": "on", "deadband": 1}, "deadband", "needs numbers"),
        ({"below": "-", "clearAbove": "-", "equals": [1]}, "equals", "must be a number"),
        ({"below": "-", "clearAbove": "-", "equals": "x" * 257}, "equals", "longer than any"),
        ({"longestSilence": "5m"}, "longestSilence", "needs a deadband"),
        ({"reading": "-"}, "", "names no reading"),
        ({"reading": "Level"}, "reading", "not a name"),
        ({"below": float("nan")}, "below", "finite"),
        ({"below": True}, "below", "is true or false"),
        ({"below": None}, "below", "is empty"),
        ({"devices": "tank-[1"}, "devices", "can match no device"),
        ({"devices": "tank-[9-1]"}, "devices", "can match no device"),
        ({"devices": ""}, "devices", "a name or a pattern"),
        ({"devices": ["tank-1"]}, "devices", "must be text"),
        ({"severity": "Critical"}, "severity", "none of info, warning, critical"),
        ({"runOn": []}, "runOn", "at least one"),
        ({"runOn": ["firing", "firing"]}, "runOn", "twice"),
        ({"message": "x" * 501}, "message", "501 characters"),
        ({"message": "{value"}, "message", "lone"),
        ({"for": "1m1m"}, "for", "once"),
        ({"for": "-5s"}, "for", "no duration"),
        ({"every": "yes"}, "every", "must be true or false"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes: dict[str, Any], path: str, words: str) -> None:
    found = [fault for fault in faults(**changes) if words in fault.message]
    assert [fault.path[:1] for fault in found] == [(path,) if path else ()]


def test_a_fault_in_one_field_brings_no_false_faults_in_others() -> None:
    assert [fault.path for fault in faults(below="x")] == [("below",)]
    assert [fault.path for fault in faults(deadband="x", longestSilence="5m")] == [("deadband",)]


@pytest.mark.parametrize("spec", [None, [], "below: 20", 3])
def test_a_spec_that_is_no_mapping_is_refused(spec: Any) -> None:
    assert [fault.path for fault in parse_rule("r", spec)[1]] == [()]


@pytest.mark.parametrize("name", ["", "Tank Low", "x" * 64, "a/b", 3])
def test_a_bad_name_is_refused(name: Any) -> None:
    assert [fault.path for fault in parse_rule(name, TANK)[1]] == [("metadata", "name")]


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["5m", "tank-*", "firing"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from([*FIELDS, "x"]), JUNK, max_size=8), JUNK)
def test_whatever_is_written_is_a_rule_that_can_be_judged_or_has_faults_but_never_an_exception(
    spec: Any, value: Any
) -> None:
    rule, found = parse_rule("r", spec)
    assert (rule is None) == bool(found)
    if rule is not None:
        book = RuleBook([rule])
        for n, reading in enumerate([1, 2.5, True, "on", -4], start=1):
            book.observe(Sample("tank-1", "b", n, n * 60_000, n * 60_000, {rule.reading or "level": reading}))
        book.tick(10**9, drained=True)
        assert parse_rule("r", to_spec(rule)) == (rule, [])
