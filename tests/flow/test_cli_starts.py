"""A start that waits is told everywhere one looks, and what somebody scaled by hand is so after a kill as well."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edge_agent.cli.root import edgectl
from tests.agent import Agent
from tests.broker import Broker
from tests.functions.shelf import SHELL
from tests.waiting import eventually

FUNCTION = """
    apiVersion: edge.internal/v1alpha1
    kind: Function
    metadata: {{name: {name}}}
    spec: {{source: {folder}, command: [./{name}], isolation: process, memory: 32Mi, pool: {{minIdle: 1, maxWorkers: 4}}}}
    ---"""


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker() as running:
        yield running


def declared(folder: Path, *names: str) -> str:
    for name in names:
        (folder / name).write_text(SHELL.replace("@HANDLE@", "echo 1"))
        (folder / name).chmod(0o755)
    return "".join(FUNCTION.format(name=name, folder=folder) for name in names)


def edgectl_at(agent: Agent, *words: str, code: int = 0) -> Result:
    env = {"EDGE_DATA__DIR": str(agent.data), "COLUMNS": "400"}
    result = CliRunner().invoke(edgectl, list(words), env=env)
    assert result.exit_code == code, result.output
    return result


def test_why_a_start_waits_is_told_on_the_command_line_over_http_and_in_the_metrics(
    tmp_path: Path, broker: Broker
) -> None:
    manifests = declared(tmp_path, "pump")
    starved = {
        "functions.starts.memory_reserve": "900GiB",
        "functions.starts.hot": 0,
        "functions.starts.pressure": False,
    }
    with Agent(tmp_path / "agent", broker.port, manifests=manifests, settings=starved) as agent:
        why = "a worker declares 32 MiB beside one for an event, and 0 B are free beyond the reserve of 900 GiB"
        eventually(lambda: agent.get("/functions/pump")["delayed"])
        found = agent.get("/functions/pump")["delayed"]
        assert found["reason"] == "memory"
        assert why in found["why"]
        assert found["seconds"] >= 0
        assert agent.get("/status")["functions"]["pump"]["delayed"]["reason"] == "memory"
        for words in (("status",), ("functions", "list"), ("get", "functions")):
            assert why in " ".join(edgectl_at(agent, *words).stdout.split()), words
        metrics = agent.http("GET", "/metrics").text
        assert 'edge_function_starts_delayed_total{function="pump",reason="memory"} 1.0' in metrics
        assert 'edge_function_start_waiting_seconds{function="pump",reason="memory"}' in metrics
        assert 'edge_function_workers_desired{function="pump"} 1.0' in metrics
        assert 'edge_function_min_idle{by="manifest",function="pump"} 1.0' in metrics
        assert 'edge_function_panic{function="pump"} 0.0' in metrics
        agent.post("/functions/pump/invocations", {}, Prefer="respond-async")
        eventually(lambda: "beside one for an event" not in agent.get("/functions/pump")["delayed"]["why"])
        agent.stop()
        agent.config.write_text(agent.config.read_text().replace("900GiB", "1MiB"))
        agent.start()
        eventually(lambda: [one["state"] for one in agent.get("/invocations")["items"]] == ["answered"])
        assert agent.get("/functions/pump")["delayed"] is None


def test_what_was_scaled_by_hand_is_so_after_a_kill_until_it_is_reset_or_the_function_is_gone(
    tmp_path: Path, broker: Broker
) -> None:
    manifests = declared(tmp_path, "pump", "lamp")

    def standing(name: str) -> Any:
        return agent.get(f"/functions/{name}")

    with Agent(tmp_path / "agent", broker.port, manifests=manifests) as agent:
        edgectl_at(agent, "functions", "scale", "pump", "--min-idle", "3")
        edgectl_at(agent, "functions", "scale", "lamp", "--min-idle", "0")
        agent.kill()
        agent.start()
        eventually(lambda: standing("pump")["workers"]["idle"] == 3)
        assert (standing("pump")["override"], standing("lamp")["override"]) == (3, 0)
        assert sum(standing("lamp")["workers"].values()) == 0
        assert "3 (scaled by hand)" in edgectl_at(agent, "functions", "list").stdout
        assert "min idle 3 (scaled by hand)" in edgectl_at(agent, "status").stdout
        assert 'edge_function_min_idle{by="hand",function="pump"} 3.0' in agent.http("GET", "/metrics").text
        edgectl_at(agent, "functions", "scale", "pump", "--reset")
        assert standing("pump")["override"] is None
        agent.declare(declared(tmp_path, "pump"))
        agent.reload()
        eventually(lambda: [one["name"] for one in agent.get("/functions")["items"]] == ["pump"])
        agent.stop()
        agent.declare(manifests)
        agent.start()
        eventually(lambda: standing("lamp")["workers"]["idle"] == 1)
        assert (standing("pump")["override"], standing("lamp")["override"]) == (None, None)


def test_what_was_scaled_by_hand_and_cannot_be_read_is_said_and_holds_nothing_up(
    tmp_path: Path, broker: Broker
) -> None:
    agent = Agent(tmp_path / "agent", broker.port, manifests=declared(tmp_path, "pump"))
    (agent.data / "scaled.json").write_text(json.dumps({"pump": "many"}))
    with agent:
        assert agent.get("/functions/pump")["override"] is None
        assert "scaled.json cannot be read" in agent.log.read_text()
        edgectl_at(agent, "functions", "scale", "pump", "--min-idle", "2")
        assert json.loads((agent.data / "scaled.json").read_text()) == {"pump": 2}
