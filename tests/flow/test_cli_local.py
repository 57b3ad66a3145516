"""edgectl where no agent is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from edge_agent.cli.root import edgectl

RULE = """\
apiVersion: edge.internal/v1alpha1
kind: Rule
metadata: {name: tank-low}
spec: {devices: "tank-*", reading: level, below: 20, clearAbove: 25, message: "{device} is down to {value} %"}
"""


def call(*words: str, **options: object) -> Result:
    return CliRunner().invoke(edgectl, list(words), **options)  # type: ignore[arg-type]


def leaves(
    group: click.Group = edgectl, prefix: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from leaves(found, (*prefix, name))
        else:
            yield (*prefix, name), found


def options_of(command: click.Command) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize(("words", "command"), [pytest.param(w, c, id=" ".join(w)) for w, c in leaves()])
def test_every_command_explains_itself_with_an_example_and_every_option_with_a_sentence(
    words: tuple[str, ...], command: click.Command
) -> None:
    result = call(*words, "--help")
    assert result.exit_code == 0
    assert f"edgectl {' '.join(words)}" in result.output.partition("Example:")[2]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_every_list_can_be_printed_for_programs_and_every_destructive_command_can_be_tried_first() -> None:
    for words, command in leaves():
        options = options_of(command)
        if words[-1] in ("list", "show", "get", "status", "doctor", "readings", "trace", "test", "replay", "create"):
            assert "--output" in options or words == ("alerts", "test"), words
        if words[-1] in ("delete", "forget", "purge", "revoke", "remove", "redrive"):
            assert {"--dry-run", "--yes"} <= options, words


def test_help_imports_nothing_that_is_slow() -> None:
    script = (
        "import sys\n"
        "from edge_agent.cli.root import edgectl\n"
        "try: edgectl(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('yaml', 'pydantic', 'rich', 'flask', 'plotext', 'paho', 'http.client') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_command_that_does_not_exist_is_bad_usage_with_the_nearest_one() -> None:
    result = call("statsu")
    assert result.exit_code == 2
    assert "did you mean status?" in result.stderr


def test_without_an_agent_the_exit_code_is_3_and_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    result = call("status", "--data", str(tmp_path))
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        "error: no agent answers on this machine; start one with edgectl run, or name it with --url or --data\n"
    )
    assert call("status", "--url", "http://127.0.0.1:1").exit_code == 3
    assert call("doctor", "--data", str(tmp_path)).exit_code == 3


def test_an_address_without_a_scheme_is_told_apart_from_a_silent_agent() -> None:
    result = call("status", env={"EDGECTL_URL": "pi.local:8080"})
    assert result.exit_code == 1
    assert "write it with http://" in result.stderr


def test_debug_shows_the_traceback_and_nothing_else_does(tmp_path: Path) -> None:
    assert "Traceback" not in call("status", "--data", str(tmp_path)).output
    assert "Traceback" in call("--debug", "status", "--data", str(tmp_path), env={"EDGECTL_DEBUG": None}).output


def test_check_tells_every_fault_of_configuration_and_manifests_and_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_text('[mqtt]\nprot = 1\n\n[journal]\nlinger = "x"\n')
    (tmp_path / "rule.yaml").write_text(RULE.replace("below", "belov"))
    result = call("check", "--config", str(tmp_path / "edge.toml"), str(tmp_path / "rule.yaml"))
    assert result.exit_code == 2
    assert [line.removeprefix(f"{tmp_path}/") for line in result.stderr.splitlines()] == [
        "edge.toml:2:1: mqtt.prot: is not known (did you mean port?)",
        "edge.toml:5:1: journal.linger: 'x' is no duration (write a number and a unit, as in 30s, 5m, 6h or 2d)",
        "rule.yaml:4:1: spec: has no condition (one of above, below, outside, equals, changedBy, ratePerMinute, "
        "missingFor, every)",
        "rule.yaml:4:43: spec.belov: is no field of a rule (did you mean below?)",
        "4 faults found; nothing was changed",
    ]


def test_check_knows_which_dialects_there_are() -> None:
    result = call("check", env={"EDGE_MQTT__DIALECTS": "native,tasmoto"})
    assert result.exit_code == 2
    assert (
        "environment EDGE_MQTT__DIALECTS: mqtt.dialects: 'tasmoto' is no dialect (did you mean tasmota?)"
        in result.stderr
    )


def test_check_says_what_it_found_good(tmp_path: Path) -> None:
    (tmp_path / "rule.yaml").write_text(RULE)
    result = call("check", str(tmp_path))
    assert (result.exit_code, result.stdout) == (0, "1 rules and 0 functions: no faults\n")


def test_check_explains_every_setting() -> None:
    result = call("check", "--explain")
    assert "journal.linger = 2s\n    Longest wait of an unurgent reading" in result.stdout


def test_check_shows_what_is_in_effect_and_where_it_came_from() -> None:
    result = call("check", "--effective", env={"EDGE_MQTT__PORT": "1999", "EDGE_MQTT__PASSWORD": "hunter2"})
    assert "mqtt.port = 1999  # environment EDGE_MQTT__PORT\n" in result.stdout
    assert "hunter2" not in result.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: str) -> None:
    result = call("completion", shell)
    assert result.exit_code == 0
    assert "_EDGECTL_COMPLETE" in result.stdout


def test_completion_knows_commands_and_is_silent_without_an_agent(tmp_path: Path) -> None:
    def complete(line: str, word: int) -> str:
        env = {"_EDGECTL_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(word), "HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", "from edge_agent.cli import main; main()"],
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout

    assert "plain,devices" in complete("edgectl dev", 1)
    assert complete("edgectl devices show ", 3).strip() == ""


CSV = "time,level\n" + "".join(f"2026-11-23T10:{minute:02d}:00+00:00,{30 - minute}\n" for minute in range(20))


def test_a_rule_is_tested_over_a_csv_file_without_an_agent(tmp_path: Path) -> None:
    (tmp_path / "rule.yaml").write_text(RULE)
    (tmp_path / "level.csv").write_text(CSV)
    words = (
        "rules",
        "test",
        str(tmp_path / "rule.yaml"),
        "--readings",
        str(tmp_path / "level.csv"),
        "--device",
        "tank-1",
    )
    found = json.loads(call(*words, "-o", "json").stdout)
    assert found["samples"] == 20
    assert [(match["state"], match["device"], match["value"]) for match in found["matches"]] == [
        ("firing", "tank-1", 19.0)
    ]
    shown = call(*words).stdout
    assert "tank-low would have fired once in 20 samples" in shown
    assert "tank-1 is down to 19 %" in shown
    assert len(shown.splitlines()) > 10, "the plot"


def test_readings_may_be_json_lines_or_named_columns_and_say_whose_they_are(tmp_path: Path) -> None:
    (tmp_path / "rule.yaml").write_text(RULE)
    lines = [{"device": "tank-7", "t": 1_763_888_888_000 + i * 1000, "readings": {"level": 30 - i}} for i in range(20)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "b.csv").write_text(
        "t,device,reading,value\n"
        + "".join(f"{line['t']},tank-7,level,{line['readings']['level']}\n" for line in lines)  # type: ignore[index]
    )
    for name in ("a.jsonl", "b.csv"):
        words = ("rules", "test", str(tmp_path / "rule.yaml"), "--readings", str(tmp_path / name), "-o", "json")
        assert [match["device"] for match in json.loads(call(*words).stdout)["matches"]] == ["tank-7"]


def test_readings_that_are_none_are_told_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "rule.yaml").write_text(RULE)
    (tmp_path / "bad.csv").write_text("t,level\nyesterday,3\n1763888888000,nan\n")
    result = call("rules", "test", str(tmp_path / "rule.yaml"), "--readings", str(tmp_path / "bad.csv"))
    assert result.exit_code == 2
    assert "bad.csv:2:1: t: 'yesterday' is no time" in result.stderr
    assert "bad.csv:3:1: level: nan is no number" in result.stderr
    (tmp_path / "bad.csv").write_text("level\n3\n")
    result = call("rules", "test", str(tmp_path / "rule.yaml"), "--readings", str(tmp_path / "bad.csv"))
    assert "has no time column" in result.stderr


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    result = call("rules", "test", str(tmp_path / "no.yaml"), "--readings", "x.csv")
    assert result.exit_code == 2
    assert "cannot be read: No such file or directory" in result.stderr
