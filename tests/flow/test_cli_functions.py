"""Making, deploying, reading and paying for functions: edgectl against a running appliance's service."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edge_agent.cli.client import Agent as Api
from edge_agent.cli.root import edgectl
from tests.agent import EDGECTL, Agent
from tests.broker import Broker
from tests.waiting import eventually


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    with Broker() as broker, Agent(tmp_path_factory.mktemp("agent"), broker.port) as running:
        yield running


class Edge:
    """edgectl in this process, with one agent."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.api = Api(agent.data / "agent.sock")
        """As edgectl asks; quick to make many calls with."""

    def __call__(self, *words: str, code: int = 0, **variables: str) -> Result:
        env = {"EDGE_DATA__DIR": str(self.agent.data), "COLUMNS": "200"} | variables
        result = CliRunner().invoke(edgectl, list(words), env=env)
        assert result.exit_code == code, result.output
        return result

    def rows(self, *words: str) -> Any:
        return json.loads(self(*words, "-o", "json").stdout)

    def invoke(self, name: str, data: Any = None) -> Any:
        return json.loads(self("functions", "invoke", name, "--data", json.dumps(data)).stdout)


@pytest.fixture
def edge(agent: Agent) -> Edge:
    return Edge(agent)


class Made:
    """A folder as `functions new` makes it, its handler changed."""

    def __init__(self, edge: Edge, name: str, parent: Path) -> None:
        self.name, self.folder = name, parent / name
        edge("functions", "new", name, "--language", "python", "--dir", str(parent))

    def says(self, body: str) -> Made:
        """`body` is the handler's, over `event`."""
        text = f"import time\n\n\ndef handler(event, context):\n    {body}\n"
        (self.folder / "handler.py").write_text(text)
        return self


def versions(edge: Edge, name: str) -> list[tuple[str, str]]:
    return [(row["version"], row["state"]) for row in edge.rows("functions", "versions", name)]


def test_a_made_function_is_deployed_called_read_scaled_and_counted(edge: Edge, tmp_path: Path) -> None:
    made = Made(edge, "pump", tmp_path)
    event = str(made.folder / "event.json")
    assert "would be tried" in edge("functions", "deploy", str(made.folder), "--dry-run").stdout
    assert "there is no function" in edge("functions", "versions", "pump", code=1).stderr
    assert list((edge.agent.data / "functions" / "pump").iterdir()) == []
    assert re.fullmatch(r"pump: version [0-9a-f]{12} serves\n", edge("functions", "deploy", str(made.folder)).stdout)
    assert json.loads(edge("functions", "invoke", "pump", "--data", f"@{event}").stdout) == {
        "message": "tank-1 says 18.2"
    }
    assert eventually(lambda: "tank-1 says 18.2\n" in edge("functions", "logs", "pump", "--tail", "5").stdout)
    (line,) = edge.rows("functions", "logs", "pump", "--tail", "1")
    assert (line["text"], line["worker"][:5]) == ("tank-1 says 18.2", "pump-")
    edge("functions", "scale", "pump", "--min-idle", "2")
    eventually(lambda: edge.rows("functions", "list")[0]["workers"]["idle"] == 2)
    edge("functions", "scale", "pump", "--reset")
    assert "either --min-idle N or --reset" in edge("functions", "scale", "pump", code=2).stderr
    assert re.search(r"pump +shared +2 ", edge("functions", "list").stdout)
    used = edge.rows("functions", "usage", "pump")
    assert (used["total"]["invocations"], used["total"]["errors"]) == (1, 0)
    assert used["total"]["gb_seconds"] >= 64 / 1024 * 0.001
    assert re.search(r"invocations +1\b", edge("functions", "usage", "pump", "--since", "1h").stdout)
    assert re.search(r"pump +1 +0 ", edge("functions", "usage").stdout)


def test_a_new_version_takes_over_while_events_flow_and_none_is_lost(edge: Edge, tmp_path: Path) -> None:
    made = Made(edge, "flow", tmp_path).says('time.sleep(0.005); return {"version": 1, "n": event["data"]["n"]}')
    edge("functions", "deploy", str(made.folder))
    sent: list[str] = []
    stop = threading.Event()

    def send() -> None:
        while not stop.wait(0.02):
            asked = {"body": {"n": len(sent)}, "headers": {"Prefer": "respond-async"}}
            sent.append(edge.api.request("POST", ("functions", "flow", "invocations"), **asked).json()["id"])

    def sends_more() -> None:
        before = len(sent)
        eventually(lambda: len(sent) > before + 30)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        for version in (2, 3):
            sends_more()
            made.says(f'time.sleep(0.005); return {{"version": {version}, "n": event["data"]["n"]}}')
            edge("functions", "deploy", str(made.folder))
        (made.folder / "handler.py").write_text("1 / 0\n")
        edge("functions", "deploy", str(made.folder), code=1)
        sends_more()
    finally:
        stop.set()
        sender.join()
    eventually(lambda: not edge.api.get("invocations", function="flow", state="pending")["items"])
    answers = [edge.api.get("invocations", id) for id in sent]
    assert {answer["state"] for answer in answers} == {"answered"}
    said = [json.loads(answer["response"]) for answer in answers]
    assert [answer["n"] for answer in said] == list(range(len(sent)))
    assert {answer["version"] for answer in said} == {1, 2, 3}
    assert edge.rows("functions", "usage", "flow")["total"]["invocations"] == len(sent)


def test_one_that_cannot_start_says_why_and_the_old_version_goes_on(edge: Edge, tmp_path: Path) -> None:
    made = Made(edge, "broken", tmp_path).says('return "good"')
    edge("functions", "deploy", str(made.folder))
    (good,) = versions(edge, "broken")
    (made.folder / "handler.py").write_text("import nothing_like_this\n")
    told = edge("functions", "deploy", str(made.folder), code=1).stderr
    assert "what was there goes on" in told
    assert "No module named 'nothing_like_this'" in told
    (failed, kept) = versions(edge, "broken")
    assert (failed[1], kept) == ("failed", (good[0], "live"))
    assert edge.invoke("broken") == "good"
    assert [path.name for path in (edge.agent.data / "functions" / "broken").iterdir() if path.is_dir()] == [good[0]]
    edge("functions", "deploy", str(made.folder), "--image", "registry.edge.internal:5000/broken:2", code=1)
    assert edge.invoke("broken") == "good"


def test_a_first_version_that_cannot_start_is_no_function(edge: Edge, tmp_path: Path) -> None:
    made = Made(edge, "stillborn", tmp_path)
    (made.folder / "handler.py").write_text("1 / 0\n")
    assert "ZeroDivisionError" in edge("functions", "deploy", str(made.folder), code=1).stderr
    assert "stillborn" not in [row["name"] for row in edge.rows("functions", "list")]
    assert "there is no function" in edge("functions", "invoke", "stillborn", code=1).stderr


def test_who_edits_the_folder_changes_nothing_that_runs_and_one_can_go_back(edge: Edge, tmp_path: Path) -> None:
    made = Made(edge, "back", tmp_path).says("return 1")
    edge("functions", "deploy", str(made.folder))
    made.says("return 2")
    edge("functions", "scale", "back", "--min-idle", "3")  # fresh workers, of the version that was deployed
    eventually(lambda: edge.api.get("functions", "back")["workers"]["idle"] == 3)
    assert [edge.invoke("back") for _ in range(4)] == [1, 1, 1, 1]
    edge("functions", "deploy", str(made.folder))
    assert edge.invoke("back") == 2
    assert "serves already" in edge("functions", "deploy", str(made.folder)).stdout
    edge("functions", "deploy", "back", "--rollback")
    assert edge.invoke("back") == 1
    (live, other) = versions(edge, "back")
    assert (live[1], other[1]) == ("live", "kept")
    edge("functions", "deploy", "back", "--rollback", "--to", other[0][:6])
    assert edge.invoke("back") == 2
    assert "has no version abc" in edge("functions", "deploy", "back", "--rollback", "--to", "abc", code=1).stderr
    assert "goes with --rollback" in edge("functions", "deploy", "back", "--to", "abc", code=2).stderr


def test_what_was_applied_before_it_was_deployed_can_be_gone_back_to(edge: Edge, tmp_path: Path) -> None:
    made = Made(edge, "applied", tmp_path).says("return 1")
    manifest = (made.folder / "function.yaml").read_text().replace("source: .", f"source: {made.folder}")
    (edge.agent.data / "manifests" / "applied.yaml").write_text(manifest)
    edge.agent.reload()
    eventually(lambda: "applied" in [row["name"] for row in edge.rows("functions", "list")])
    assert edge.invoke("applied") == 1
    edge("functions", "deploy", str(made.folder))
    assert [state for _, state in versions(edge, "applied")] == ["live", "kept"]
    edge("functions", "deploy", "applied", "--rollback")
    assert edge.api.get("functions", "applied")["manifest"]["spec"]["source"] == str(made.folder)


def test_bad_folders_are_bad_input_and_change_nothing(edge: Edge, tmp_path: Path) -> None:
    assert "is no folder" in edge("functions", "deploy", str(tmp_path / "nowhere"), code=2).stderr
    (tmp_path / "empty").mkdir()
    assert "has no manifest of a function" in edge("functions", "deploy", str(tmp_path / "empty"), code=2).stderr
    made = Made(edge, "faulty", tmp_path)
    good = (made.folder / "function.yaml").read_text()
    (made.folder / "function.yaml").write_text(good.replace("memory:", "memry:"))
    assert "did you mean memory?" in edge("functions", "deploy", str(made.folder), code=2).stderr
    (made.folder / "function.yaml").write_text(good.replace("[python3, bootstrap.py]", "[./bootstrap]"))
    assert "build it first: make -C" in edge("functions", "deploy", str(made.folder), code=2).stderr
    assert "faulty" not in [row["name"] for row in edge.rows("functions", "list")]


def test_a_folder_is_not_taken_over_the_network(edge: Edge, tmp_path: Path) -> None:
    made = Made(edge, "far", tmp_path)
    token = edge("tokens", "create", "far", "--scope", "admin").stdout.strip()
    url = f"http://127.0.0.1:{edge.agent.web_port}"
    refused = edge("functions", "deploy", str(made.folder), "--url", url, code=2, EDGECTL_TOKEN=token)
    assert "over its local socket only" in refused.stderr
    assert not (edge.agent.data / "functions" / "far").exists()


def test_logs_follow_what_is_printed_from_now_on_until_ctrl_c(edge: Edge, tmp_path: Path) -> None:
    made = Made(edge, "talks", tmp_path).says('print("said", event["data"]); print("\\x1b[2Jcleared")')
    edge("functions", "deploy", str(made.folder))
    edge.invoke("talks", "before")
    words = [EDGECTL, "functions", "logs", "talks", "--follow", "--tail", "1", "--data", str(edge.agent.data)]
    eventually(lambda: "cleared" in edge("functions", "logs", "talks").stdout)
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout
        heard: list[str] = []
        reader = threading.Thread(target=lambda: heard.extend(iter(following.stdout.readline, "")))  # type: ignore[union-attr]
        reader.start()
        eventually(lambda: any("cleared" in line for line in heard))
        edge.invoke("talks", "after")
        eventually(lambda: any("said after" in line for line in heard))
        following.send_signal(signal.SIGINT)
        assert following.wait(20) == 0
        reader.join()
    assert not any("said before" in line or "\x1b[2J" in line for line in heard)
    assert re.match(r"\d\d:\d\d:\d\d\.\d{3} [0-9a-f]{6}  \ufffd\[2Jcleared", heard[0])


def test_an_agent_killed_while_a_version_is_tried_goes_on_with_the_old_one(edge: Edge, tmp_path: Path) -> None:
    made = Made(edge, "killed", tmp_path).says("return 1")
    edge("functions", "deploy", str(made.folder))
    (made.folder / "handler.py").write_text("import time\n\ntime.sleep(600)\n")
    begun = edge.api.post("functions", "killed", "deployments", body={"folder": str(made.folder)})
    copies = edge.agent.data / "functions" / "killed"
    eventually(lambda: edge.api.get("functions", "killed").get("trying"))
    again = edge("functions", "deploy", str(made.folder), code=1)
    assert f"version {begun['version']} of killed is being tried" in again.stderr
    assert (copies / begun["version"]).is_dir()
    edge.agent.kill()
    edge.agent.start()
    assert edge.invoke("killed") == 1
    assert [state for _, state in versions(edge, "killed")] == ["live"]
    eventually(lambda: not (copies / begun["version"]).exists())


def test_what_was_used_survives_a_restart(edge: Edge, tmp_path: Path) -> None:
    made = Made(edge, "used", tmp_path).says("return 1")
    edge("functions", "deploy", str(made.folder))
    for _ in range(3):
        edge.invoke("used")
    before = edge.rows("functions", "usage", "used")["total"]
    assert before["invocations"] == 3
    edge.agent.stop()
    edge.agent.start()
    assert edge.rows("functions", "usage", "used", "--since", "2h")["total"]["gb_seconds"] == before["gb_seconds"]
    edge.invoke("used")
    assert edge.rows("functions", "usage", "used", "--since", "2h")["total"]["invocations"] == 4
    assert [state for _, state in versions(edge, "used")] == ["live"]
    assert edge("functions", "logs", "used").stderr == "used has printed nothing in that time\n"


@pytest.fixture
def letters(edge: Edge, tmp_path: Path) -> list[str]:
    """Five dead letters, oldest first, of a function that fails until a file is there."""
    made = Made(edge, "mends", tmp_path)
    mended = tmp_path / "mended"
    (made.folder / "handler.py").write_text(
        f"from pathlib import Path\n\n\ndef handler(event, context):\n    print('trying')\n"
        f"    if not Path({str(mended)!r}).exists():\n        raise RuntimeError('not yet')\n    return 'mended'\n"
    )
    manifest = made.folder / "function.yaml"
    manifest.write_text(manifest.read_text().replace("attempts: 3", "attempts: 2"))
    edge("functions", "deploy", str(made.folder))
    eventually(lambda: not edge.api.get("invocations", function="mends", state="pending")["items"])
    edge("deadletters", "purge", "--yes")
    for number in range(5):
        edge("functions", "invoke", "mends", "--data", str(number), "--async")
    eventually(lambda: len(edge.rows("deadletters", "list", "--function", "mends")) == 5)
    return [row["id"] for row in edge.rows("deadletters", "list")][::-1]


def test_dead_letters_are_found_shown_and_handed_over_again(edge: Edge, letters: list[str], tmp_path: Path) -> None:
    assert edge.rows("deadletters", "list", "--kind", "timeout") == []
    assert edge.rows("deadletters", "list", "--device", "tank-1") == []
    assert edge.rows("deadletters", "list", "--until", "1h") == []
    assert len(edge.rows("deadletters", "list", "--kind", "function-error", "--since", "5m", "--limit", "3")) == 3
    shown = edge("deadletters", "show", letters[0]).stdout
    assert "RuntimeError: not yet (attempt 2 of 2)" in shown
    assert shown.count("function-error") == 3, "the kind, and that of each attempt"
    assert '"data": ' in shown
    assert "end of its log\ntrying\nTraceback" in shown
    assert "there is no dead letter nope" in edge("deadletters", "show", "nope", code=1).stderr
    assert "filters go with --all" in edge("deadletters", "redrive", letters[0], "--kind", "x", code=2).stderr
    assert "is no rate" in edge("deadletters", "redrive", "--all", "--rate", "fast", code=2).stderr
    assert "5 of 5 would be" in edge("deadletters", "redrive", "--all", "--function", "mends", "--dry-run").stderr
    (tmp_path / "mended").touch()
    told = edge("deadletters", "redrive", "--all", "--function", "mends", "--rate", "100/s", "--yes")
    assert re.findall(r"^(\S+) is handed over again$", told.stdout, re.MULTILINE) == letters
    eventually(lambda: {edge.api.get("invocations", id)["state"] for id in letters} == {"answered"})
    assert edge("deadletters", "redrive", "--all", "--yes").stderr == "no dead letters\n"


def test_a_redrive_keeps_to_its_rate_stops_when_told_and_goes_on(edge: Edge, letters: list[str]) -> None:
    words = [EDGECTL, "deadletters", "redrive", "--all", "--rate", "1/s", "--yes", "--data", str(edge.agent.data)]
    began = time.monotonic()
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as redriving:
        assert redriving.stdout
        assert redriving.stdout.readline().startswith(letters[0])
        assert redriving.stdout.readline().startswith(letters[1])
        assert time.monotonic() - began > 1.0, "never faster than asked"
        redriving.send_signal(signal.SIGINT)
        _, said = redriving.communicate(timeout=20)
    assert redriving.returncode == 1
    assert "stopped after 2 of 5; go on with:" in said
    again = re.search(r"edgectl (deadletters redrive --all .*)", said)
    assert again
    eventually(lambda: len(edge.rows("deadletters", "list")) == 5)  # the first two have died once more
    told = edge(*again[1].split(), "--yes", "--rate", "100/s")
    assert re.findall(r"^(\S+) is", told.stdout, re.MULTILINE) == letters[2:], "who died again is not run a third time"


def test_purging_takes_what_the_filters_leave_and_asks_first(edge: Edge, letters: list[str]) -> None:
    assert "add --yes" in edge("deadletters", "purge", "--function", "mends", code=2).stderr
    assert edge("deadletters", "purge", "--kind", "timeout", "--dry-run").stderr == "no dead letters\n"
    assert (
        edge("deadletters", "purge", "--function", "mends", "--dry-run").stdout == "5 dead letters would be removed\n"
    )
    assert len(edge.rows("deadletters", "list")) == 5
    assert edge("deadletters", "purge", "--function", "mends", "--yes").stdout == "5 dead letters are removed\n"
    assert edge.rows("deadletters", "list") == []
