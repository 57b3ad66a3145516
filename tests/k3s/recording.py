"""A pytest plugin: writes every Function and Rule spec that tests give to the agent's loader into EDGE_RECORDED, one a line.

`corpus` runs the unit tests of manifests and rules with it, so that a case somebody adds there is tried here as well.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TESTS = (
    "test_manifests.py",
    "test_manifests_store.py",
    "test_triggers_manifests.py",
    "test_rules_wire.py",
    "test_rules_words.py",
)
FOLDERS = ("edge_agent/demo", "functions", "k3s/examples")
TARGET = "EDGE_RECORDED"


def record(kind: str, spec: Any) -> None:
    try:
        line = json.dumps([kind, spec], allow_nan=False)
    except (TypeError, ValueError):
        return  # what JSON cannot say, nobody can send
    with Path(os.environ[TARGET]).open("a") as file:
        file.write(line + "\n")


def pytest_configure() -> None:
    from edge_agent.domain.rules import wire  # before anything else has imported it by name

    read_rule = wire.parse_rule

    def parse_rule(name: str, spec: Any) -> Any:
        record("Rule", spec)
        return read_rule(name, spec)

    wire.parse_rule = parse_rule

    from edge_agent.manifests.function import FunctionWire

    validate = FunctionWire.model_validate

    def model_validate(spec: Any) -> FunctionWire:
        record("Function", spec)
        return validate(spec)

    FunctionWire.model_validate = model_validate  # type: ignore[assignment,method-assign]


def corpus(folder: Path) -> list[tuple[str, Any]]:
    """(kind, spec), each once: of the unit tests, of the functions that come with the agent, and the examples."""
    target = folder / "recorded.jsonl"
    names = [str(ROOT / "tests" / "unit" / name) for name in TESTS]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "tests.k3s.recording", *names]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, TARGET: str(target)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
    lines = dict.fromkeys(target.read_text().splitlines())
    return [tuple(json.loads(line)) for line in lines] + shipped()


def shipped() -> list[tuple[str, Any]]:
    from edge_agent.manifests import documents

    files = [file for name in FOLDERS for file in sorted((ROOT / name).rglob("*.yaml"))]
    read = [document for file in files for document in documents.read(file.read_text(), str(file))]
    return [(document.kind, document.spec) for document in read if document.kind]
