from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from edge_agent.domain.function import FunctionSpec, MiB, PoolSpec, RetrySpec, ScheduleSpec
from edge_agent.errors import Invalid
from edge_agent.manifests import dump, load_folder, parse_text

INTERFACE = """\
apiVersion: edge.internal/v1alpha1
kind: Function
metadata: {name: send-mail}
spec:
  image: registry.edge.internal:5000/send-mail:1.0.0
  source: ./send-mail
  command: [python3, -m, awslambdaric]
  args: [send_mail.handler]
  isolation: pod
  timeout: 30s
  memory: 64Mi
  cpu: 250m
  pool: {minIdle: 1, maxWorkers: 4, idleTimeout: 5m,
         schedule: [{cron: "0 7 * * *", timeZone: Europe/Dublin, minIdle: 4, for: 2h}]}
  env: {SMTP_HOST: 10.0.0.2, SMTP_PORT: 25, TLS: true}
  secrets: [smtp]
  egress: ["10.0.0.2:25"]
  retry: {attempts: 3, maxAge: 6h}
  triggers: [{topic: "edge/v1/+/devices/+/readings"}, {cron: "*/5 * * * *"}, {resultOf: other-function}]
---
apiVersion: edge.internal/v1alpha1
kind: Function
metadata: {name: other-function}
spec: {image: other}
---
apiVersion: edge.internal/v1alpha1
kind: Rule
metadata: {name: tank-low}
spec:
  devices: "tank-*"
  reading: level
  below: 20
  clearAbove: 25
  for: 30s
  cooldown: 10m
  severity: critical
  message: "{device} is down to {value} %"
  run: [send-mail]
  runOn: [firing]
  notify: [page, mqtt, ntfy]
"""


def function(text: str) -> str:
    lines = "".join(f"  {line}\n" for line in text.splitlines())
    return f"apiVersion: edge.internal/v1alpha1\nkind: Function\nmetadata: {{name: f}}\nspec:\n{lines}"


def faults(text: str, folder: Path = Path("/"), *, alone: bool = True) -> list[str]:
    with pytest.raises(Invalid) as caught:
        parse_text(text, "m.yaml", folder, alone=alone)
    return [str(fault) for fault in caught.value.faults]


def test_the_manifests_of_the_interface_are_read_whole(tmp_path: Path) -> None:
    (tmp_path / "send-mail").mkdir()
    (tmp_path / "all.yaml").write_text(INTERFACE)
    found = load_folder(tmp_path)
    assert found.functions["send-mail"] == FunctionSpec(
        name="send-mail",
        image="registry.edge.internal:5000/send-mail:1.0.0",
        source=str(tmp_path / "send-mail"),
        command=("python3", "-m", "awslambdaric"),
        args=("send_mail.handler",),
        isolation="pod",
        timeout=30.0,
        memory=64 * MiB,
        cpu=0.25,
        pool=PoolSpec(1, 4, 300.0, (ScheduleSpec("0 7 * * *", "Europe/Dublin", 4, 7200.0),)),
        env={"SMTP_HOST": "10.0.0.2", "SMTP_PORT": "25", "TLS": "true"},
        secrets=("smtp",),
        egress=("10.0.0.2:25",),
        retry=RetrySpec(3, 21600.0),
        topics=("edge/v1/+/devices/+/readings",),
        crons=(("*/5 * * * *", "UTC"),),
        results_of=("other-function",),
    )
    rule = found.rules["tank-low"]
    assert (rule.below, rule.clear_above, rule.for_, rule.run) == (20, 25, 30, ("send-mail",))
    assert found.documents["Rule", "tank-low"]["spec"]["below"] == 20


def test_what_a_function_does_not_say_comes_from_the_configuration() -> None:
    defaults = FunctionSpec(name="", timeout=7, memory=8 * MiB, cpu=0.5, pool=PoolSpec(max_workers=2))
    found = parse_text(function("image: x"), "m.yaml", Path("/"), defaults=defaults).functions["f"]
    assert (found.timeout, found.memory, found.cpu, found.pool.max_workers) == (7, 8 * MiB, 0.5, 2)


def test_every_fault_of_every_file_is_told_at_once_with_line_column_field_and_hint(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(function("imge: x\ntimeout: soon\nretry: {attempts: 0}"))
    (tmp_path / "b.yml").write_text(
        "apiVersion: edge.internal/v1\nkind: Rul\nmetadata: {name: Tank Low}\n---\n"
        "apiVersion: edge.internal/v1alpha1\nkind: Rule\nmetadata: {name: r}\n"
        "spec:\n  reading: level\n  belov: 20\n  above: 3\n  run: [send-mial]\n"
    )
    (tmp_path / "c.yaml").write_text(function("image: x").replace("name: f", "name: send-mail"))
    (tmp_path / "ignored.txt").write_text("}{")
    with pytest.raises(Invalid) as caught:
        load_folder(tmp_path)
    assert [str(fault).removeprefix(f"{tmp_path}/") for fault in caught.value.faults] == [
        "a.yaml:5:3: spec.imge: is not known (did you mean image?)",
        "a.yaml:6:3: spec.timeout: 'soon' is no duration (write a number and a unit, as in 30s, 5m, 6h or 2d)",
        "a.yaml:7:11: spec.retry.attempts: must be greater than or equal to 1 (it is 0)",
        "b.yml:1:1: apiVersion: 'edge.internal/v1' is not known (write apiVersion: edge.internal/v1alpha1)",
        "b.yml:1:1: spec: is missing",
        "b.yml:2:1: kind: 'Rul' is not known (did you mean Rule?)",
        "b.yml:3:12: metadata.name: 'Tank Low' is no name (1 to 63 of a-z, 0-9 and -)",
        "b.yml:10:3: spec.belov: is no field of a rule (did you mean below?)",
        "b.yml:12:9: spec.run[0]: there is no function send-mial (did you mean send-mail?)",
    ]


@pytest.mark.parametrize(
    ("spec", "line", "says"),
    [
        ("command: [x]", 4, "needs image (for pods) or source"),
        ("source: ./nowhere\ncommand: [x]", 5, "is no folder (the path is relative to the manifest's own folder)"),
        ("image: x\nisolation: pods", 6, "'pods' is not one of pod, process or shared (did you mean pod?)"),
        ("image: x\nmemory: 64m", 6, "is no size (write"),
        ("image: x\nmemory: 1Ki", 6, "must be greater than or equal to"),
        ("image: x\ncpu: much", 6, "is no share of a CPU"),
        ("image: x\ntimeout: 30", 6, "is no duration (write a number and a unit"),
        ("image: x\ntimeout: 13h", 6, "must be less than or equal to 43200"),
        ("image: x\nenv: {2X: a}", 6, "spec.env.2X: is no variable name"),
        ("image: x\nenv: {AWS_LAMBDA_RUNTIME_API: a}", 6, "is set by the agent itself"),
        ("image: x\nenv: {A: [1]}", 6, "must be text"),
        ("image: x\nsecrets: [A_B]", 6, "spec.secrets[0]: 'A_B' is no name"),
        ("image: x\npool: {minIdle: 9}", 6, "is more than maxWorkers (4)"),
        ("image: x\npool:\n  schedule: [{cron: '0 7 * *', minIdle: 1, for: 1h}]", 7, "is no cron expression"),
        (
            "image: x\npool: {schedule: [{cron: '0 7 * * *', minIdle: 1, for: 1h, timeZone: Dublin}]}",
            6,
            "is no time zone",
        ),
        ("image: x\ntriggers:\n- cron: '61 * * * *'", 7, "spec.triggers[0].cron: '61 * * * *' is no cron expression"),
        ("image: x\ntriggers:\n- cron: '1 * * * *'\n  topic: a", 7, "exactly one of topic, cron, resultOf"),
        ("image: x\ntriggers:\n- topic: a\n  timeZone: UTC", 7, "timeZone goes with cron only"),
        ("image: x\ntriggers:\n- topic: a/#/b", 7, "# stands only alone and last"),
        ("image: x\ntriggers:\n- topic: a/b+/c", 7, "+ stands only alone"),
        ("image: x\nretry: 3", 6, "must be a table"),
        ("image: x\nargs: one", 6, "must be a list"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_written(spec: str, line: int, says: str) -> None:
    (fault,) = faults(function(spec))
    assert fault.startswith(f"m.yaml:{line}:")
    assert says in fault


def test_a_source_needs_a_command(tmp_path: Path) -> None:
    assert "needs a command" in faults(function("source: ."), tmp_path)[0]


@pytest.mark.parametrize(
    "address", ["10.0.0.2:25", "10.0.0.2", "10.1.0.0/16", "[fd00::2]:25", "fd00::/8", "10.0.0.0/24:443"]
)
def test_egress_takes_addresses(address: str) -> None:
    found = parse_text(function(f'image: x\negress: ["{address}"]'), "m.yaml", Path("/"))
    assert found.functions["f"].egress == (address,)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        (
            "smtp.example.org:25",
            "'smtp.example.org' is a name, and a network policy knows addresses only (write the address",
        ),
        ("10.0.0.2:99999", "'99999' is no port"),
        ("10.0.0.2:", "has a colon and no port"),
        ("10.0.0.300", "is no IP address"),
    ],
)
def test_egress_refuses_names_with_a_hint(address: str, says: str) -> None:
    (fault,) = faults(function(f'image: x\negress: ["{address}"]'))
    assert says in fault


def test_a_key_written_twice_is_a_fault_not_a_silent_loss() -> None:
    assert faults(function("image: x\nimage: y")) == [
        "m.yaml:6:3: spec.image: is written twice (keep one; the other would be lost)"
    ]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: [1, 2\nb: 3\n", 2, "expected"),
        ("a:\n\t- b\n", 2, "cannot start any token"),
        ("a: \x01\n", 1, "is not YAML"),
        ("- just\n- a list\n", 1, "is no manifest"),
        ("a: *nobody\n", 1, "undefined alias"),
        ("a: !!python/object:os.system x\n", 1, "which is not allowed here"),
    ],
)
def test_broken_yaml_is_told_by_line(text: str, line: int, says: str) -> None:
    assert any(fault.startswith(f"m.yaml:{line}:") and says in fault for fault in faults(text))


def test_bombs_end_early() -> None:
    laughs = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
    assert "holds more than" in faults(laughs)[0]
    assert "nested deeper" in faults("a: " + "[" * 900 + "]" * 900)[0]
    assert "is longer than" in faults("#" * (1 << 20) + "\n")[0]
    assert "recurs" in faults("a: &a [*a]\n")[0] or "nested deeper" in faults("a: &a [*a]\n")[0]


def test_words_and_times_that_older_yaml_would_change_are_left_as_they_were_written() -> None:
    found = parse_text(
        function("image: x\nenv: {A: no, B: on, C: 12:30, D: 0777, E: 2026-11-23, F: 1_000}"), "m", Path("/")
    )
    env = found.functions["f"].env
    assert env == {"A": "no", "B": "on", "C": "12:30", "D": "0777", "E": "2026-11-23", "F": "1_000"}


def test_two_manifests_of_one_kind_and_name_are_a_fault_and_of_two_kinds_are_not() -> None:
    (fault,) = faults(function("image: x") + "---\n" + function("image: y"))
    assert fault == "m.yaml:9:12: metadata.name: Function f is declared in m.yaml:1 already (rename or remove one)"
    rule = "apiVersion: edge.internal/v1alpha1\nkind: Rule\nmetadata: {name: f}\nspec: {reading: x, below: 1}\n"
    assert parse_text(function("image: x") + "---\n" + rule, "m.yaml", Path("/")).rules.keys() == {"f"}


def test_results_that_feed_themselves_are_a_fault() -> None:
    circle = "---\n".join(
        function(f"image: x\ntriggers: [{{resultOf: {feeds}}}]").replace("name: f", f"name: {name}")
        for name, feeds in (("a", "b"), ("b", "c"), ("c", "b"))
    )
    found = faults(circle, alone=False)
    assert [re.sub(r"^m.yaml:\d+:\d+: ", "", fault) for fault in found] == [
        "spec.triggers[0].resultOf: feeds itself: b <- c <- b (remove one resultOf of the circle)",
        "spec.triggers[0].resultOf: feeds itself: c <- b <- c (remove one resultOf of the circle)",
    ]


def test_fields_a_cluster_adds_are_ignored() -> None:
    text = function("image: x").replace("{name: f}", "{name: f, namespace: edge, uid: 1, resourceVersion: '7'}")
    assert parse_text(text + "status: {conditions: []}\n", "m.yaml", Path("/")).functions["f"].image == "x"


def test_empty_documents_and_comments_alone_are_no_fault() -> None:
    assert parse_text("# nothing yet\n---\n---\n" + function("image: x") + "---\n", "m.yaml", Path("/")).functions


def test_what_is_dumped_is_read_back_the_same() -> None:
    spec: dict[str, Any] = {
        "image": "x",
        "env": {"A": "no", "B": "12:30", "C": "1e3"},
        "triggers": [{"cron": "0 7 * * *"}],
    }
    text = dump("Function", "f", spec)
    assert parse_text(text, "m.yaml", Path("/")).documents["Function", "f"]["spec"] == spec


def test_a_folder_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot be read: No such file"):
        load_folder(tmp_path / "no")


def test_a_manifest_with_a_wrong_name_has_its_other_faults_told_too(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: Rule\nmetadata: {name: X}\nspec: {reading: level, above: hot, bellow: 3}\n")
    with pytest.raises(Invalid) as caught:
        load_folder(tmp_path)
    assert [fault.field for fault in caught.value.faults] == [
        "apiVersion",
        "metadata.name",
        "spec.above",
        "spec.bellow",
    ]
