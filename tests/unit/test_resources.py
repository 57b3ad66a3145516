"""Objects of a cluster judged beside files: what each is worth, whatever the others are."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from edge_agent.app.resource_states import Seen, View, camel, coarse, function_status, stopped
from edge_agent.manifests.folder import Manifests, parse_text
from edge_agent.manifests.resources import IN_FILE, INVALID, MOST, REFERENCE, TOO_MANY, Joined, Resource, join


def function(name: str, *after: str, generation: int = 1, uid: str = "u", **spec: Any) -> Resource:
    triggers = [{"resultOf": other} for other in after]
    return Resource(
        "Function", name, f"{uid}-{name}", generation, {"image": "edge.test/x:1", "triggers": triggers, **spec}
    )


def rule(name: str, *run: str, generation: int = 1, **spec: Any) -> Resource:
    whole = {"reading": "level", "below": 20, "run": list(run), **spec}
    return Resource("Rule", name, f"u-{name}", generation, whole)


def judge(*resources: Resource, served: Joined | None = None, files: str = "") -> Joined:
    declared = parse_text(files, "a.yaml", Path("/")) if files else Manifests()
    return join(declared, resources, served.serving if served else {})


def reasons(joined: Joined) -> dict[str, str]:
    return {name: verdict.reason for (_, name), verdict in joined.verdicts.items()}


def test_a_rule_and_the_function_it_runs_hold_together_in_whatever_order_they_came():
    for order in itertools.permutations([rule("low", "b"), function("a"), function("b", "a")]):
        joined = judge(*order)
        assert set(reasons(joined).values()) == {""}
        assert set(joined.manifests.functions) == {"a", "b"}
        assert set(joined.manifests.rules) == {"low"}


def test_faults_of_one_disturb_no_other_and_all_are_told():
    joined = judge(function("bad", timeout="soon", memory="much"), function("good"))
    assert reasons(joined) == {"bad": INVALID, "good": ""}
    assert set(joined.manifests.functions) == {"good"}
    assert [fault.field for fault in joined.verdicts["Function", "bad"].faults] == ["spec.timeout", "spec.memory"]


def test_the_version_that_served_goes_on_beside_faults_in_the_next():
    before = judge(rule("low", below=20))
    joined = judge(rule("low", below="wet", generation=2), served=before)
    assert reasons(joined) == {"low": INVALID}
    assert joined.serving["Rule", "low"].generation == 1
    assert joined.manifests.rules["low"].below == 20


def test_a_version_of_an_object_that_was_deleted_does_not_go_on_under_the_name_of_another():
    before = judge(function("a", uid="old"))
    joined = judge(function("a", uid="new", timeout="soon"), served=before)
    assert joined.serving == {}


def test_who_closes_a_circle_is_refused_and_those_that_served_stay():
    before = judge(function("a"), function("b", "a"))
    joined = judge(function("a", "b", generation=2), function("b", "a"), served=before)
    assert reasons(joined) == {"a": REFERENCE, "b": ""}
    assert "feeds itself: a <- b <- a" in str(joined.verdicts["Function", "a"])
    assert joined.serving["Function", "a"].generation == 1


def test_a_circle_turned_round_at_once_is_no_circle():
    before = judge(function("a", "b"), function("b"))
    joined = judge(function("a", generation=2), function("b", "a", generation=2), served=before)
    assert reasons(joined) == {"a": "", "b": ""}


def test_new_ones_in_a_circle_are_both_told_of_it():
    joined = judge(function("a", "b"), function("b", "a"), function("c"))
    assert reasons(joined) == {"a": REFERENCE, "b": REFERENCE, "c": ""}
    for name in "ab":
        assert "feeds itself" in str(joined.verdicts["Function", name])


def test_a_rule_goes_on_raising_alerts_when_its_function_is_deleted_and_says_what_is_missing():
    before = judge(function("a"), rule("low", "a"))
    joined = judge(rule("low", "a"), served=before)
    assert reasons(joined) == {"low": REFERENCE}
    assert "there is no function a" in str(joined.verdicts["Rule", "low"])
    assert joined.manifests.rules["low"].run == ("a",)


def test_a_function_that_is_there_and_not_accepted_is_pointed_at():
    joined = judge(function("a", timeout="soon"), rule("low", "a"))
    assert "kubectl describe efn a" in str(joined.verdicts["Rule", "low"])


def test_what_a_file_declares_holds_and_may_be_named_by_the_cluster():
    text = (
        "apiVersion: edge.internal/v1alpha1\nkind: Function\nmetadata: {name: a}\nspec: {image: 'edge.test/file:1'}\n"
    )
    joined = judge(function("a"), rule("low", "a"), files=text)
    assert reasons(joined) == {"a": IN_FILE, "low": ""}
    assert joined.manifests.functions["a"].image == "edge.test/file:1"
    assert joined.manifests.files == {("Function", "a"): "a.yaml", ("Rule", "low"): "cluster"}


def test_one_object_too_many_and_one_too_long_are_refused():
    many = [
        Resource("Rule", f"r{number}", str(number), 1, {"reading": "level", "below": 1}, f"{number:05}")
        for number in range(MOST)
    ]
    joined = judge(*many, Resource("Rule", "late", "x", 1, {"reading": "level", "below": 1}, "99999"))
    assert reasons(joined)["late"] == TOO_MANY
    assert len(joined.serving) == MOST
    assert "longer than" in str(judge(function("fat", env={"A": "a" * 70_000})).verdicts["Function", "fat"])


def test_a_spec_that_is_none_is_a_fault_and_no_crash():
    for spec in (None, [], "text", {"triggers": 3}, {"run": {"a": 1}}):
        joined = judge(
            Resource("Function", "odd", "u", 1, spec), Resource("Rule", "odd", "v", 1, spec), function("good")
        )
        assert set(joined.serving) == {("Function", "good")}


def test_a_status_tells_a_busy_function_from_one_that_cannot_start():
    joined = judge(function("a", pool={"minIdle": 1}))
    view = View(joined.serving["Function", "a"], joined.verdicts["Function", "a"], joined.serving["Function", "a"])
    spec = joined.manifests.functions["a"]
    workers = {"starting": 0, "idle": 0, "busy": 2, "ending": 0}

    def ready(state: dict[str, Any], seen: Seen) -> list[str]:
        status = function_status(view, spec, state, seen=seen)
        found = next(each for each in status["conditions"] if each["type"] == "Ready")
        return [found["status"], found["reason"]]

    state = {"workers": workers, "queued": 1234, "last_error": "", "last_error_kind": ""}
    seen = Seen()
    assert ready(state, seen) == ["True", "Serving"]
    status = function_status(view, spec, state, seen=seen)
    assert (status["queued"], status["ready"], status["lastError"]) == (1000, "2/4", "")
    none = {**workers, "busy": 0}
    assert ready({**state, "workers": none}, seen) == ["True", "Serving"]  # between two events
    assert ready({**state, "workers": none}, Seen()) == ["False", "Starting"]
    pulled = {"last_error": "cannot pull", "last_error_kind": "ImagePullFailed"}
    assert ready({**state, "workers": none, **pulled}, seen) == ["False", "ImagePullFailed"]
    assert ready({**state, **pulled}, seen) == ["True", "Serving"]
    left = stopped(status)
    assert left["workers"] == {"starting": 0, "idle": 0, "busy": 0}
    assert [each["status"] for each in left["conditions"] if each["type"] == "Ready"] == ["Unknown"]


def test_counts_are_coarse_and_words_are_reasons():
    assert [coarse(count) for count in (0, 7, 10, 11, 19, 250, 1999)] == [0, 7, 10, 10, 10, 200, 1000]
    assert [camel(word) for word in ("start-failed", "ImagePullFailed", "")] == ["StartFailed", "ImagePullFailed", ""]
