"""Triggers as people write them: every fault with its place, circles with their path."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.domain.event import DEPTH_MOST
from edge_agent.errors import Invalid
from edge_agent.manifests import parse_text


def function(name: str, triggers: str) -> str:
    return (
        "apiVersion: edge.internal/v1alpha1\nkind: Function\n"
        f"metadata: {{name: {name}}}\nspec:\n  image: x\n  triggers:\n{triggers}"
    )


def faults(*documents: str) -> list[str]:
    with pytest.raises(Invalid) as caught:
        parse_text("---\n".join(documents), "f.yaml", Path(), alone=False)
    return [str(fault) for fault in caught.value.faults]


def test_each_kind_of_trigger_is_read() -> None:
    text = function(
        "f",
        '  - topic: "$SYS/broker/uptime"\n  - topic: "#"\n  - {cron: "0 7 * * MON-FRI", timeZone: Europe/Dublin}\n'
        '  - cron: "*/5 * * * *"\n  - resultOf: g\n',
    )
    spec = parse_text(text, "f.yaml", Path()).functions["f"]
    assert spec.topics == ("$SYS/broker/uptime", "#")
    assert spec.crons == (("0 7 * * MON-FRI", "Europe/Dublin"), ("*/5 * * * *", "UTC"))
    assert spec.results_of == ("g",)


def test_every_fault_of_every_trigger_is_told_at_once_with_its_place() -> None:
    said = faults(
        function(
            "f",
            "  - topic: $share/g/a/+\n"
            "  - topic: $aws/x\n"
            "  - topic: a/#/b\n"
            "  - cron: '61 * * * *'\n"
            "  - cron: '* * * * * *'\n"
            "  - {cron: '0 7 * * *', timeZone: Europe/Dublim}\n"
            "  - {topic: a, cron: '0 7 * * *'}\n"
            "  - {resultOf: 'Not A Name'}\n"
            "  - every: 5m\n",
        )
    )
    assert [line.partition(" (")[0] for line in said] == [
        "f.yaml:7:5: spec.triggers[0].topic: is a shared subscription, which hands a message to one of several agents",
        "f.yaml:8:5: spec.triggers[1].topic: begins with $aws, which belongs to the broker",
        "f.yaml:9:5: spec.triggers[2].topic: # stands only alone and last",
        "f.yaml:10:5: spec.triggers[3].cron: '61 * * * *' is no cron expression: bad minute",
        "f.yaml:11:5: spec.triggers[4].cron: '* * * * * *' is no cron expression: wrong number of fields",
        "f.yaml:12:25: spec.triggers[5].timeZone: 'Europe/Dublim' is no time zone",
        "f.yaml:13:5: spec.triggers[6]: a trigger is exactly one of topic, cron, resultOf",
        "f.yaml:14:6: spec.triggers[7].resultOf: 'Not A Name' is no name",
        "f.yaml:14:6: spec.triggers[7].resultOf: there is no function Not A Name",
        "f.yaml:15:5: spec.triggers[8].every: is not known",
    ]
    assert said[0].endswith("(write a/+)")


def test_a_time_that_never_comes_and_a_trigger_written_twice_are_faults() -> None:
    never = function("f", "  - cron: '0 0 31 2,4 *'\n")
    assert "is no cron expression: bad day-of-month" in faults(never)[0]
    twice = function("f", "  - topic: a/b\n  - cron: '* * * * *'\n  - topic: a/b\n")
    assert faults(twice) == ["f.yaml:9:5: spec.triggers[2]: is written twice, the first is triggers[0] (remove one)"]


def test_a_circle_of_results_is_refused_with_its_path() -> None:
    said = faults(*(function(name, f"  - resultOf: {of}\n") for name, of in (("a", "b"), ("b", "c"), ("c", "a"))))
    assert said == [
        "f.yaml:7:5: spec.triggers[0].resultOf: feeds itself: a <- b <- c <- a (remove one resultOf of the circle)",
        "f.yaml:15:5: spec.triggers[0].resultOf: feeds itself: b <- c <- a <- b (remove one resultOf of the circle)",
        "f.yaml:23:5: spec.triggers[0].resultOf: feeds itself: c <- a <- b <- c (remove one resultOf of the circle)",
    ]
    assert "feeds itself: a <- a" in faults(function("a", "  - resultOf: a\n"))[0]


def test_a_function_that_does_not_exist_is_refused_with_the_nearest_name() -> None:
    said = faults(function("send-mail", "  - cron: '* * * * *'\n"), function("note", "  - resultOf: send-mial\n"))
    assert said == ["f.yaml:15:5: spec.triggers[0].resultOf: there is no function send-mial (did you mean send-mail?)"]


def test_a_chain_longer_than_is_run_is_refused_at_its_first_step_too_many() -> None:
    def chain(steps: int) -> list[str]:
        first = function("f0", "  - cron: '* * * * *'\n")
        return [first, *(function(f"f{step}", f"  - resultOf: f{step - 1}\n") for step in range(1, steps + 1))]

    parse_text("---\n".join(chain(DEPTH_MOST)), "f.yaml", Path(), alone=False)
    said = faults(*chain(DEPTH_MOST + 3))
    assert [line.partition(": ")[2] for line in said] == [
        f"spec.triggers: is step {DEPTH_MOST + 1} of a chain, and {DEPTH_MOST} are run (do more in one function)"
    ]


def test_many_functions_that_follow_many_are_judged_in_no_time() -> None:
    layers, width = 12, 6
    documents = [function(f"l0-{n}", "  - cron: '* * * * *'\n") for n in range(width)]
    for layer in range(1, layers):
        before = "".join(f"  - resultOf: l{layer - 1}-{n}\n" for n in range(width))
        documents += [function(f"l{layer}-{n}", before) for n in range(width)]
    assert len(parse_text("---\n".join(documents), "f.yaml", Path(), alone=False).functions) == layers * width
