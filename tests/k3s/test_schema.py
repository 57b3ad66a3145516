"""The schema of k3s/base/crds.yaml and the agent's own loader, given the same manifests: they say the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.adapters.cluster_kubernetes.api import Connection
from tests.k3s.judges import CANNOT_JUDGE, difference, loader, schema
from tests.k3s.kustomize import K3S
from tests.k3s.recording import corpus

MANY = settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
SECONDS = [
    "30s",
    "0s",
    "5m",
    "1h30m",
    "2d",
    "0.5d",
    "1d0.5h",
    "12h",
    "13h",
    "0.4ms",
    "0.5ms",
    "0.0001s",
    "4000d",
    "30",
    "soon",
    "",
    30,
    "1m1m",
    "5s1h",
    "1.5.5s",
    " 5s",
    None,
]
NAMES = ["level", "a", "a-b", "0", "-a", "A", "a_b", "", "x" * 63, "x" * 64, 3, None]
NUMBERS = [0, 1, 20, 25.5, -3, 2**53, 2**53 + 2, 1e300, "20", True, None, [1]]
WORDS = ["python3", 25, True, 1.5, "", None, [], {}, ["a"], {"a": 1}]


def some(values: list[Any], most: int = 3) -> st.SearchStrategy[Any]:
    return st.lists(st.sampled_from(values), max_size=most) | st.sampled_from(["text", 3, None, {}])


def fields(required: dict[str, Any] | None = None, **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Few at once: with many, one fault hides whether another is seen."""
    named = {key.rstrip("_"): value for key, value in optional.items()}
    chosen = st.lists(st.sampled_from(sorted(named)), max_size=4, unique=True)
    fixed = {key: st.just(value) for key, value in (required or {}).items()}
    return chosen.flatmap(lambda keys: st.fixed_dictionaries({**fixed, **{key: named[key] for key in keys}}))


def one(values: list[Any]) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


COUNTS = one([0, 1, 4, 1000, 1001, -1, 1.5, "3", True, None])
SIZES = one(
    [
        "64Mi",
        "64MiB",
        "20MB",
        "20mb",
        "64m",
        "1Ki",
        "4Mi",
        "4194304",
        "4194303",
        4194304,
        1,
        1.5,
        "1.5Gi",
        "64 mib",
        "",
        "i",
        "64i",
        "x",
        " 64Mi ",
        "1T",
        "0.001Gi",
        None,
        True,
    ]
)
CORES = one(["250m", "0.5", 0.5, 1, 0, "0", "0m", "0.0", "much", "1.m", -1, True, None, "", " 1 ", [], {}])
EGRESS = [
    "10.0.0.2:25",
    "10.0.0.2",
    "10.1.0.0/16",
    "10.1.0.5/16",
    "[fd00::2]:25",
    "fd00::/8",
    "fd00::1",
    "10.0.0.0/24:443",
    "10.0.0.0/255.255.255.0",
    "[fd00::/8]:1",
    "[10.0.0.1]:5",
    "smtp.example.org:25",
    "smtp",
    "10.0.0.2:99999",
    "10.0.0.2:0",
    "10.0.0.2:",
    ":25",
    "10.0.0.300",
    "10.0.0",
    "10.0.0.0/33",
    "::1",
    "::",
    "[fd00::1",
    "[]",
    "fd00::1:",
    "cafe",
    "cafe:1",
    "1:2",
    "",
    10,
    "10.0.0.2:065535",
    "10.0.0.2:65536",
    "[fd00::1]:",
    "[fd00::1]x",
    "0.0.0.0/0",
    "10.00.0.1",
    "a" * 60,
]
TRIGGERS = fields(
    topic=one(["a/b", "#", "a/#/b", "$share/g/a", "", None, 3]),
    cron=one(["*/5 * * * *", "61 * * * *", "", None]),
    timeZone=one(["UTC", "Nowhere", "", None]),
    resultOf=one(NAMES),
)
SCHEDULES = fields(
    {"cron": "0 7 * * *", "minIdle": 1, "for": "2h"},
    cron=one(["0 7 * * *", "x", 3]),
    minIdle=COUNTS,
    for_=one(SECONDS),
    timeZone=one(["UTC", "Nowhere", None]),
    more=one([1]),
)
FUNCTIONS = fields(
    {"image": "x"},
    image=one(["x", "", None, 3]),
    source=one(["", ".", "./nowhere", None, 3]),
    command=some(WORDS),
    args=some(WORDS),
    isolation=one(["pod", "process", "shared", "pods", "", None, 1]),
    timeout=one(SECONDS),
    memory=SIZES,
    cpu=CORES,
    pool=fields(
        minIdle=COUNTS,
        maxWorkers=COUNTS,
        idleTimeout=one(SECONDS),
        schedule=st.lists(SCHEDULES, max_size=2),
        max_=one([1]),
    ),
    env=st.dictionaries(one(["A", "SMTP_HOST", "2X", "AWS_LAMBDA_X", "a-b", ""]), one(WORDS), max_size=3)
    | one([None, [], "a"]),
    secrets=some(NAMES),
    egress=some(EGRESS, 2),
    retry=fields(attempts=one([0, 1, 100, 101, "3", None]), maxAge=one(SECONDS)) | one([None, 3]),
    ordered=one([True, False, "yes", 1, None]),
    triggers=st.lists(TRIGGERS, max_size=3) | one([None, {}, "a"]),
    imge=one(["x"]),
)
CONDITIONS = {
    "above": one(NUMBERS),
    "below": one(NUMBERS),
    "clearAbove": one(NUMBERS),
    "clearBelow": one(NUMBERS),
    "outside": one([[10, 30], [30, 10], [10], [1, 2, 3], [0, 0], ["a", 1], 5, None, []]),
    "equals": one([1, 1.5, True, False, "on", "", "x" * 256, "x" * 257, None, [], [1], {}, {"a": 1}, 2**53, 2**53 + 2]),
    "changedBy": one(NUMBERS),
    "ratePerMinute": one(NUMBERS),
    "missingFor": one(SECONDS),
    "every": one([True, False, "yes", None, 1]),
}
RULES = fields(
    {"reading": "level"},
    devices=one(["tank-*", "*", "[a-c]*", "[c-a]", "[", "[]", "[!a]", "A", "", "x" * 253, "x" * 254, "a?b", None, 3]),
    **CONDITIONS,
    for_=one(SECONDS),
    cooldown=one(SECONDS),
    deadband=one(NUMBERS),
    longestSilence=one(SECONDS),
    severity=one(["info", "warning", "critical", "bad", None, 1]),
    message=one(
        [
            "{device} is down to {value:.1f} %",
            "{{x}}",
            "{",
            "}",
            "{a}}",
            "{{a}",
            "{A}",
            "{value:}",
            "{value:.12f}",
            "{{{a}}}",
            "a\nb",
            "x" * 500,
            "x" * 501,
            "",
            None,
            3,
        ]
    ),
    run=some(NAMES),
    runOn=some(["firing", "resolved", "late"]),
    notify=some(NAMES),
    belov=one([1]),
) | st.fixed_dictionaries({}, optional={"reading": one(NAMES), **CONDITIONS})


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Any]]:
    return corpus(tmp_path_factory.mktemp("corpus"))


def test_the_committed_file_is_what_the_models_make() -> None:
    done = subprocess.run([sys.executable, K3S / "crds.py", "--check"], check=False)
    assert done.returncode == 0, "run python k3s/crds.py"


def test_every_manifest_of_the_tests_is_judged_alike(
    admin: Connection, manifests: list[tuple[str, Any]], tmp_path: Path
) -> None:
    assert sum(kind == "Function" for kind, _ in manifests) > 50
    assert sum(kind == "Rule" for kind, _ in manifests) > 50
    wrong = [
        found
        for kind, spec in manifests
        if isinstance(spec, dict) and (found := difference(admin, kind, spec, tmp_path))
    ]
    assert wrong == []


@MANY
@given(spec=FUNCTIONS)
def test_functions_are_judged_alike(admin: Connection, spec: dict[str, Any]) -> None:
    assert difference(admin, "Function", spec, Path("/")) == ""


@MANY
@given(spec=RULES)
def test_rules_are_judged_alike(admin: Connection, spec: dict[str, Any]) -> None:
    assert difference(admin, "Rule", spec, Path("/")) == ""


@pytest.mark.parametrize("address", EGRESS)
def test_every_address_is_judged_alike(admin: Connection, address: Any) -> None:
    assert difference(admin, "Function", {"image": "x", "egress": [address]}, Path("/")) == ""


@pytest.mark.parametrize("time", SECONDS)
def test_every_duration_is_judged_alike(admin: Connection, time: Any) -> None:
    assert difference(admin, "Function", {"image": "x", "timeout": time}, Path("/")) == ""
    for field in ("for", "cooldown", "missingFor"):
        rule = {"reading": "a", field: time} | ({} if field == "missingFor" else {"above": 1})
        assert difference(admin, "Rule", rule, Path("/")) == ""


UNJUDGED = {
    "cron": ("Function", {"image": "x", "triggers": [{"cron": "61 * * * *"}]}),
    "time zones": ("Function", {"image": "x", "triggers": [{"cron": "1 * * * *", "timeZone": "Dublin"}]}),
    "topic filters": ("Function", {"image": "x", "triggers": [{"topic": "a/#/b"}]}),
    "globs": ("Rule", {"reading": "a", "above": 1, "devices": "[c-a]"}),
    "folders of the agent's machine": ("Function", {"source": "nowhere", "command": ["a"]}),
    "names of variables": ("Function", {"image": "x", "env": {"2X": "a"}}),
    "the configured default": ("Function", {"image": "x", "pool": {"minIdle": 9}}),
    "what kind equals compares with": ("Rule", {"reading": "a", "equals": "on", "deadband": 1}),
}


@pytest.mark.parametrize("what", CANNOT_JUDGE)
def test_what_a_schema_cannot_judge_is_left_to_the_agent(admin: Connection, tmp_path: Path, what: str) -> None:
    kind, spec = UNJUDGED[what]
    assert loader(kind, spec, tmp_path) != []
    assert schema(admin, kind, spec)[0] == ""


@pytest.mark.parametrize(
    ("kind", "spec", "says"),
    [
        (
            "Function",
            {"image": "x", "egress": ["smtp.example.org:25"]},
            "is a name, and a network policy knows addresses only",
        ),
        ("Function", {"image": "x", "egress": ["10.0.0.300"]}, "is no IP address or network"),
        ("Function", {"image": "x", "egress": ["10.0.0.1:0"]}, "1 to 65535"),
        ("Function", {"command": ["a"]}, "needs an image"),
        ("Function", {"image": "x", "pool": {"minIdle": 3, "maxWorkers": 2}}, "is more than maxWorkers: raise that"),
        ("Function", {"image": "x", "timeout": "13h"}, "must be at most 43200 seconds"),
        ("Function", {"image": "x", "memory": "1Ki"}, "must be at least 4Mi"),
        ("Function", {"image": "x", "triggers": [{"topic": "a", "cron": "b"}]}, "exactly one of topic, cron, resultOf"),
        ("Rule", {"reading": "a", "above": 1, "every": True}, "has more than one condition"),
        ("Rule", {"above": 1}, "names no reading"),
        ("Rule", {"reading": "a", "below": 20, "clearAbove": 10}, "must be at least the limit"),
        ("Rule", {"reading": "a", "above": 20, "clearAbove": 10}, "with above write clearBelow"),
        ("Rule", {"reading": "a", "below": 20, "belov": 10}, 'unknown field "spec.belov"'),
    ],
)
def test_a_refusal_says_what_to_do(admin: Connection, kind: str, spec: dict[str, Any], says: str) -> None:
    refusal, _ = schema(admin, kind, spec)
    assert any(each in refusal for each in says.split("|")), refusal


@pytest.mark.parametrize("name", ["a.b", "x" * 64])
def test_a_name_the_agent_does_not_take_is_refused(admin: Connection, name: str) -> None:
    assert "1 to 63 of a-z, 0-9 and -" in schema(admin, "Function", {"image": "x"}, name)[0]
