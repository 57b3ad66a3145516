"""edgectl against a real agent, started as people start it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from edge_agent.cli.root import edgectl
from tests.broker import Broker
from tests.waiting import eventually

COLD = """\
apiVersion: edge.internal/v1alpha1
kind: Rule
metadata: {name: cold}
spec: {devices: "room-*", reading: temperature, below: 5, message: "{device}: {value}", run: [tank-advice]}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class Running:
    """`edgectl run` or `edgectl agent` as a process of its own."""

    def __init__(self, *words: str, **variables: str) -> None:
        env = {key: value for key, value in os.environ.items() if not key.startswith("EDGE")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from edge_agent.cli import main; main()", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env | {"EDGE_JOURNAL__LINGER": "20ms"} | variables,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self.readers = [
            threading.Thread(target=self._read, args=pair)
            for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self.readers:
            reader.start()

    def _read(self, stream: Any, lines: list[str]) -> None:
        lines.extend(iter(stream.readline, ""))  # extend takes line by line, so that others see them at once

    def said(self, pattern: str) -> str:
        """What the pattern's group is in the output, when it has come."""

        def find() -> str:
            if self.process.poll() is not None:
                pytest.fail("".join(self.err))
            found = re.search(pattern, "".join(self.out) + "".join(self.err))
            return found[1] if found else ""

        return eventually(find, 30)

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(30)
        for reader in self.readers:
            reader.join(10)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream
            stream.close()
        return code


@contextlib.contextmanager
def running(*words: str, **variables: str) -> Iterator[Running]:
    found = Running(*words, **variables)
    try:
        yield found
    finally:
        found.end()


def run_words(data: Path, *more: str) -> list[str]:
    words = ["run", "--data", str(data), "--port", str(free_port()), "--mqtt-port", str(free_port())]
    return [*words, *more]


def processes_of(data: Path) -> list[str]:
    """The command lines of all processes that have something to do with the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                about = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                state = (entry / "stat").read_text().rpartition(") ")[2][0]
                if str(data).encode() in about and state != "Z":
                    found.append((entry / "cmdline").read_text().replace("\0", " "))
    return found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Running]]:
    data = tmp_path_factory.mktemp("house") / "data"
    with running(*run_words(data, "--devices", "3")) as found:
        found.said(r"page +(http\S+)")
        yield data, found


@pytest.fixture
def call(house: tuple[Path, Running]) -> Any:
    """call("status", ...): a command told to talk to the running agent."""

    def run(*words: str, code: int = 0, stdin: str | None = None, **env: str) -> Result:
        found = CliRunner().invoke(edgectl, list(words), input=stdin, env={"EDGE_DATA__DIR": str(house[0])} | env)
        assert found.exit_code == code, found.output
        return found

    return run


def rows(result: Result) -> Any:
    return json.loads(result.stdout)


def test_run_says_where_everything_is_and_the_sign_in_link_opens_the_page(house: tuple[Path, Running]) -> None:
    data, found = house
    link = found.said(r"sign in +(http\S+)")
    assert re.fullmatch(r"http://localhost:\d+/signin#\S{40,}", link)
    with urllib.request.urlopen(link.partition("#")[0]) as answer:
        assert answer.status == 200
    assert re.search(r"broker +mqtt://localhost:\d+", "".join(found.out))
    assert data.stat().st_mode & 0o777 == 0o700
    assert (data / "agent.sock").stat().st_mode & 0o777 == 0o600


def test_status_is_one_screen_and_clean_json(call: Any) -> None:
    assert re.search(r"broker +connected", call("status").stdout)
    assert rows(call("status", "-o", "json"))["broker"]["connected"] is True
    assert yaml.safe_load(call("status", "-o", "yaml").stdout)["site"] == "home"


def test_doctor_lists_every_check_and_ends_with_1_only_when_something_is_wrong(call: Any, house: Any) -> None:
    found = CliRunner().invoke(edgectl, ["doctor", "-o", "json", "--data", str(house[0])])
    checks = {check["check"]: check["ok"] for check in json.loads(found.stdout)}
    assert checks["broker"] is checks["journal"] is True
    assert found.exit_code == (0 if all(checks.values()) else 1)


def test_a_published_message_is_on_disk_and_can_be_read_back_in_every_form(call: Any) -> None:
    result = call("publish", "probe-1", "level=18.5", "door=true", "state=idle", "count=3")
    assert result.stdout == "probe-1: level=18.5 door=True state=idle count=3 is on disk\n"
    found = rows(call("readings", "probe-1", "-o", "json"))
    assert {row["reading"]: row["value"] for row in found} == {"level": 18.5, "door": True, "state": "idle", "count": 3}
    lines = call("readings", "probe-1", "--reading", "level", "-o", "csv").stdout.splitlines()
    assert lines[0] == "t,reading,value"
    assert re.fullmatch(r"\d{13},level,18.5", lines[1])
    assert "level" in call("readings", "probe-1").stdout
    call("publish", "probe-1", "level=19", "--at", "10m")
    assert len(rows(call("readings", "probe-1", "--reading", "level", "-o", "json"))) == 2
    assert "┤" in call("readings", "probe-1", "--reading", "level", "--plot").stdout
    assert rows(call("readings", "probe-1", "--reading", "level", "--step", "1h", "-o", "json"))[0]["count"] >= 1


@pytest.mark.parametrize("words", [("Probe_1", "a=1"), ("probe-1", "a"), ("probe-1", "A=1"), ("probe-1", "a=nan")])
def test_what_no_board_would_send_is_bad_usage(call: Any, words: tuple[str, ...]) -> None:
    assert "Error: Invalid value" in call("publish", *words, code=2).stderr


def test_boards_are_listed_shown_renamed_and_forgotten(call: Any) -> None:
    call("publish", "gone-1", "x=1")
    eventually(lambda: "gone-1" in [row["name"] for row in rows(call("devices", "list", "-o", "json"))])
    assert "gone-1" in call("devices", "list").stdout
    call("devices", "rename", "gone-1", "Behind the shed")
    assert "Behind the shed" in call("devices", "show", "gone-1").stdout
    assert "1 readings would be removed" in call("devices", "forget", "gone-1", "--dry-run").stdout
    assert "add --yes" in call("devices", "forget", "gone-1", code=2).stderr
    call("devices", "forget", "gone-1", "--yes")
    assert "no device gone-1" in call("devices", "show", "gone-1", code=1).stderr


def test_manifests_are_applied_shown_given_back_and_deleted(call: Any, tmp_path: Path, house: Any) -> None:
    file = tmp_path / "cold.yaml"
    file.write_text(COLD)
    assert call("apply", "-f", str(file), "--dry-run").stdout == "rule/cold would be created\n"
    assert call("apply", "-f", str(file)).stdout == "rule/cold created\n"
    assert call("apply", "-f", "-", stdin=COLD).stdout == "rule/cold unchanged\n"
    file.write_text(COLD.replace("below: 5", "below: 6"))
    assert call("apply", "-f", str(file)).stdout == "rule/cold changed\n"
    assert (house[0] / "manifests" / "cold.rule.yaml").read_text().count("below: 6") == 1
    assert yaml.safe_load(call("get", "rule", "cold", "-o", "yaml").stdout)["spec"]["below"] == 6
    assert re.search(r"cold +room-\* +temperature +below 6", call("get", "rules").stdout)
    everything = call("get", "rules", "-o", "yaml").stdout
    assert call("apply", "-f", "-", stdin=everything).stdout == "rule/cold unchanged\nrule/tank-low unchanged\n"
    assert "still used" in call("delete", "function", "tank-advice", "--yes", code=1).stderr
    assert call("delete", "rule", "cold", "--dry-run").stdout == "rule/cold would be deleted\n"
    assert "add --yes" in call("delete", "rule", "cold", code=2).stderr
    assert call("delete", "rule", "cold", "--yes").stdout == "rule/cold deleted\n"
    assert "there is no rule" in call("get", "rule", "cold", code=1).stderr


def test_manifests_with_faults_are_refused_with_every_fault_and_change_nothing(call: Any, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(COLD.replace("below", "belov").replace("reading:", "readng:"))
    result = call("apply", "-f", str(file), code=2)
    assert f"{file}:4:27: spec.readng: is no field of a rule (did you mean reading?)" in result.stderr
    assert "did you mean below?" in result.stderr
    file.write_text(COLD.replace("tank-advice", "nobody"))
    assert "there is no function nobody" in call("apply", "-f", str(file), code=2).stderr
    assert "cold" not in call("get", "rules").stdout


def test_a_function_from_a_folder_is_applied_invoked_and_listed(call: Any, tmp_path: Path, house: Any) -> None:
    advice = (house[0] / "manifests" / "tank-advice" / "advice.py").read_text()
    (tmp_path / "echo").mkdir()
    (tmp_path / "echo" / "main.py").write_text(advice.replace('"device": data.get("device")', '"echo": data'))
    (tmp_path / "echo.yaml").write_text(
        "apiVersion: edge.internal/v1alpha1\nkind: Function\nmetadata: {name: echo}\n"
        "spec: {source: ./echo, command: [python3, main.py], isolation: shared, pool: {minIdle: 1}}\n"
    )
    call("apply", "-f", str(tmp_path / "echo.yaml"))
    assert rows(call("functions", "invoke", "echo", "--data", '{"value": 40}'))["echo"] == {"value": 40}
    (tmp_path / "event.json").write_text('{"value": 41}')
    assert rows(call("functions", "invoke", "echo", "--data", f"@{tmp_path}/event.json"))["echo"] == {"value": 41}
    assert call("functions", "invoke", "echo", "--async").stdout.startswith("call/")
    assert "is no JSON" in call("functions", "invoke", "echo", "--data", "{", code=2).stderr
    assert "there is no function" in call("functions", "invoke", "nobody", code=1).stderr
    assert "could not convert" in call("functions", "invoke", "echo", "--data", '{"value": "wet"}', code=1).stderr
    assert [row["name"] for row in rows(call("functions", "list", "-o", "json"))] == ["echo", "tank-advice"]
    call("delete", "function", "echo", "--yes")


def test_a_rule_that_fires_is_an_alert_with_a_function_s_answer_and_a_trace(call: Any) -> None:
    call("publish", "tank-77", "level=3")
    (alert,) = eventually(
        lambda: [
            row for row in rows(call("alerts", "list", "--state", "firing", "-o", "json")) if row["device"] == "tank-77"
        ]
    )
    assert alert["message"] == "tank-77 is down to 3.0 %"
    assert alert["id"] in call("alerts", "list").stdout
    call("alerts", "ack", alert["id"])
    phases = [phase["phase"] for phase in rows(call("trace", alert["id"], "-o", "json"))["phases"]]
    assert phases
    assert alert["id"] in call("trace", alert["id"]).stdout
    replayed = rows(call("rules", "replay", "tank-low", "--since", "1h", "-o", "json"))
    assert "tank-77" in [match["device"] for match in replayed["matches"]]
    assert "tank-low would have fired" in call("rules", "replay", "tank-low").stdout
    assert "is quiet until" in call("alerts", "silence", "tank-low", "--device", "tank-77", "--for", "1h").stdout
    call("alerts", "test", "--severity", "info")


def test_an_event_no_function_answers_can_be_looked_at_redriven_and_let_go(call: Any) -> None:
    id_ = call("functions", "invoke", "tank-advice", "--data", '{"value": "wet"}', "--async").stdout.strip()

    def letters() -> list[Any]:
        return [row for row in rows(call("deadletters", "list", "-o", "json")) if row["id"] == id_]

    (letter,) = eventually(letters, 30)
    assert letter["function"] == "tank-advice"
    assert letter["id"] in call("deadletters", "list").stdout
    assert "could not convert" in call("deadletters", "show", letter["id"]).stdout
    assert "would be handed over" in call("deadletters", "redrive", letter["id"], "--dry-run").stdout
    assert "name dead letters" in call("deadletters", "redrive", code=2).stderr
    assert "is handed over again" in call("deadletters", "redrive", letter["id"]).stdout
    eventually(letters, 30)
    assert re.match(r"[1-9]\d* dead letters would be removed", call("deadletters", "purge", "--dry-run").stdout)
    call("deadletters", "purge", "--yes")
    assert call("deadletters", "list").stderr == "no dead letters\n"


def test_a_token_opens_the_agent_from_elsewhere_until_it_is_revoked(call: Any, house: Any, tmp_path: Path) -> None:
    url = house[1].said(r"page +(http\S+)")
    token = call("tokens", "create", "elsewhere", "--scope", "read").stdout.strip()
    (tmp_path / "token").write_text(token)
    assert rows(call("status", "-o", "json", "--url", url, "--token-file", str(tmp_path / "token")))["site"] == "home"
    assert rows(call("status", "-o", "json", EDGECTL_URL=url, EDGECTL_TOKEN=token))["site"] == "home"
    assert "this needs the scope" in call("alerts", "test", "--url", url, "--token", token, code=1).stderr
    assert "give a token" in call("status", "--url", url, "--token", "wrong", code=1).stderr
    assert "elsewhere" in call("tokens", "list").stdout
    assert "elsewhere would be revoked" in call("tokens", "revoke", "elsewhere", "--dry-run").stdout
    call("tokens", "revoke", "elsewhere", "--yes")
    assert call("status", "--url", url, "--token", token, code=1).stdout == ""


def test_people_are_added_and_removed_and_their_passwords_never_are_options(call: Any) -> None:
    call("users", "add", "ada", stdin="correct horse battery\n")
    assert "ada" in call("users", "list").stdout
    assert "at least 10 characters" in call("users", "passwd", "ada", stdin="short\n", code=2).stderr
    call("users", "passwd", "ada", stdin="another long password\n")
    call("users", "remove", "ada", "--yes")
    assert call("users", "list").stderr.startswith("no users")


def test_a_fresh_sign_in_link_can_be_had(call: Any) -> None:
    assert re.fullmatch(r"http://localhost:\d+/signin#\S{40,}\n", call("signin").stdout)


def test_simulated_boards_end_when_everything_is_safe(call: Any, tmp_path: Path) -> None:
    found = rows(call("simulate", "--devices", "2", "--rate", "50", "--duration", "500ms", "-o", "json"))
    assert found["acked"] == found["sent"] > 10
    (tmp_path / "series.csv").write_text("time,temperature\n" + "".join(f"2026-11-2{d},{d}\n" for d in range(1, 4)))
    words = ("simulate", "--replay", str(tmp_path / "series.csv"), "--speed", "0", "--device", "recorded", "-o", "json")
    assert rows(call(*words))["acked"] == 3
    found = rows(call("readings", "recorded", "--since", "2026-11-01", "--until", "2026-12-01", "-o", "json"))
    assert [row["value"] for row in found] == [1, 2, 3]


def test_names_are_completed_from_the_running_agent(house: Any) -> None:
    env = {"_EDGECTL_COMPLETE": "bash_complete", "COMP_WORDS": "edgectl get rules ta", "COMP_CWORD": "3"}
    done = subprocess.run(
        [sys.executable, "-c", "from edge_agent.cli import main; main()"],
        env=env | {"EDGE_DATA__DIR": str(house[0])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["plain,tank-low"]


def test_a_second_run_on_the_same_folder_is_refused_and_does_not_disturb_the_first(call: Any, house: Any) -> None:
    second = Running(*run_words(house[0]))
    assert second.process.wait(30) == 1
    second.end()
    assert "edgectl run is at work in" in "".join(second.err)
    assert rows(call("status", "-o", "json"))["broker"]["connected"] is True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_run_stops_clean_on_every_signal_and_leaves_no_process_behind(tmp_path: Path, number: int) -> None:
    data = tmp_path / "data"
    found = Running(*run_words(data, "--devices", "2"))
    found.said(r"page +(http\S+)")
    eventually(lambda: any("advice.py" in line for line in processes_of(data)))
    assert found.end(number) == 0
    assert eventually(lambda: not processes_of(data))
    assert "Traceback" not in "".join(found.err)
    assert not (data / "agent.sock").exists()


def test_run_leaves_no_process_behind_even_when_it_is_killed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    found = Running(*run_words(data, "--devices", "1"))
    found.said(r"page +(http\S+)")
    eventually(lambda: any("advice.py" in line for line in processes_of(data)))
    found.end(signal.SIGKILL)
    assert eventually(lambda: not processes_of(data))


def test_a_port_that_is_taken_is_no_failure_and_what_was_kept_is_there_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ["run", "--data", str(data), "--no-demo", "--port", str(port), "--mqtt-port", str(port)]
        with running(*words) as first:
            assert int(first.said(r"page +http://localhost:(\d+)")) > port
            assert f"port {port} is taken; the page is on" in "".join(first.err)
            assert f"port {port} is taken; the broker is on" in "".join(first.err)
            CliRunner().invoke(edgectl, ["publish", "kept-1", "x=1", "--data", str(data)], catch_exceptions=False)
    with running(*run_words(data, "--no-demo")) as second:
        second.said(r"page +(http\S+)")
        listed = CliRunner().invoke(edgectl, ["devices", "list", "-o", "json", "--data", str(data)])
        assert [device["name"] for device in json.loads(listed.stdout)] == ["kept-1"]


def test_faults_in_the_manifests_of_run_are_told_and_end_it_with_2(tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "bad.yaml").write_text(COLD.replace("below", "belov"))
    found = Running(*run_words(tmp_path / "data", "--manifests", str(tmp_path / "manifests")))
    assert found.process.wait(30) == 2
    found.end()
    assert "bad.yaml:4:49: spec.belov: is no field of a rule (did you mean below?)" in "".join(found.err)
    assert eventually(lambda: not processes_of(tmp_path / "data"))


def test_the_service_tells_systemd_of_its_life_and_reloads_on_sighup(tmp_path: Path) -> None:
    heard: list[str] = []
    (tmp_path / "manifests").mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, Broker() as broker:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)

        def hear(word: str) -> None:
            while not any(word in line for line in heard):
                heard.append(systemd.recv(4096).decode())

        (tmp_path / "edge.toml").write_text(
            f'[data]\ndir = "data"\n[manifests]\ndir = "manifests"\n[mqtt]\nport = {broker.port}\npassword = "hunter2"\n'
            '[web]\nport = 0\n[functions]\nruntime_port = 0\n[log]\nformat = "json"\n'
        )
        notify = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        with running("agent", "--config", str(tmp_path / "edge.toml"), **notify) as agent:
            hear("READY=1")
            hear("WATCHDOG=1")
            (tmp_path / "manifests" / "cold.yaml").write_text(COLD.replace("[tank-advice]", "[]"))
            heard.clear()
            agent.process.send_signal(signal.SIGHUP)
            hear("RELOADING=1\nMONOTONIC_USEC=")
            hear("READY=1")
            shown = CliRunner().invoke(edgectl, ["get", "rules", "-o", "json", "--data", str(tmp_path / "data")])
            assert [rule["name"] for rule in json.loads(shown.stdout)] == ["cold"]
            (tmp_path / "manifests" / "cold.yaml").write_text("kind: Rule\n")
            heard.clear()
            agent.process.send_signal(signal.SIGHUP)
            hear("READY=1")
            shown = CliRunner().invoke(edgectl, ["get", "rules", "-o", "json", "--data", str(tmp_path / "data")])
            assert [rule["name"] for rule in json.loads(shown.stdout)] == ["cold"], "what held goes on holding"
            assert agent.end(signal.SIGTERM) == 0
            hear("STOPPING=1")
    lines = [json.loads(line) for line in agent.err]
    messages = [line["message"] for line in lines]
    assert f"mqtt.port = {broker.port} ({tmp_path}/edge.toml:6)" in messages
    assert f"mqtt.password = ******** ({tmp_path}/edge.toml:7)" in messages
    assert "journal.linger = 20ms (environment EDGE_JOURNAL__LINGER)" in messages
    assert "journal.batch = 1000 (default)" in messages
    assert "hunter2" not in "".join(agent.err)
    assert any(line["level"] == "error" and "nothing was reloaded" in line["message"] for line in lines)
