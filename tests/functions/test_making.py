"""What `edgectl functions new` makes works at once, in every language: its own test passes, and an engine runs it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from edge_agent.cli import making
from edge_agent.cli.root import edgectl
from edge_agent.manifests import load_paths
from tests.functions.shelf import Shelf

LANGUAGES = sorted(making.LANGUAGES)
TRIED = os.environ.get("EDGE_CONTRACT_CLIENTS", "python,node,go,shell").split(",")
"""Rust and Java take minutes to build; the long suite names them."""


def new(name: str, language: str, folder: Path, *more: str) -> Result:
    return CliRunner().invoke(edgectl, ["functions", "new", name, "--language", language, "--dir", str(folder), *more])


def make(folder: Path, *targets: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(
        ["make", "-C", str(folder), *targets],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=1700,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("language", TRIED)
def test_it_passes_its_own_test_and_answers_an_event(language: str, tmp_path: Path, shelf: Shelf) -> None:
    assert new("tank-advice", language, tmp_path).exit_code == 0
    folder = tmp_path / "tank-advice"
    if making.LANGUAGES[language].built:
        make(folder, "build")
    make(folder, "test")
    shelf.functions.update(load_paths([folder]).functions)
    shelf.start()
    event = msgspec.json.decode((folder / "event.json").read_bytes())
    assert shelf.answer("tank-advice", event["data"]) == {"message": "tank-1 says 18.2"}
    assert shelf.answer("tank-advice", {"device": "größe", "value": 3}) == {"message": "größe says 3"}
    assert shelf.failure("tank-advice", {}, attempts=3).kind == "function-error"
    assert shelf.answer("tank-advice", {"value": 4}) == {"message": "somebody says 4"}
    assert shelf.engine.status()["tank-advice"]["workers"]["idle"] == 1, "one worker served them all"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_manifest_is_without_faults_and_nothing_is_left_to_fill_in(language: str, tmp_path: Path) -> None:
    assert new("x-1", language, tmp_path).exit_code == 0
    folder = tmp_path / "x-1"
    (spec,) = load_paths([folder]).functions.values()
    assert (spec.name, spec.source) == ("x-1", str(folder))
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"README.md", "Makefile", "event.json", "function.yaml"} <= {path.name for path in files}
    readme = (folder / "README.md").read_text()
    for path in files:
        assert not [word for word in ("@NAME@", "@FILES@", "@RUNS@", "@NEEDS@") if word in path.read_text()], path
    for named in making.LANGUAGES[language].files:
        assert (folder / named).is_file()
        assert f"`{named}`" in readme


def test_it_says_the_next_steps_and_writes_nothing_when_only_asked(tmp_path: Path) -> None:
    asked = new("pump", "shell", tmp_path, "--dry-run")
    assert f"would write {tmp_path}/pump/handler.sh" in asked.stdout
    assert list(tmp_path.iterdir()) == []
    made = new("pump", "shell", tmp_path)
    assert f"edgectl functions deploy {tmp_path}/pump" in made.stderr
    assert f"make -C {tmp_path}/pump test" in made.stderr


def test_it_never_writes_over_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "pump").mkdir()
    (tmp_path / "pump" / "mine.txt").write_text("mine")
    refused = new("pump", "python", tmp_path)
    assert (refused.exit_code, "is there already" in refused.stderr) == (1, True)
    assert [path.name for path in (tmp_path / "pump").iterdir()] == ["mine.txt"]
    (tmp_path / "file").write_text("mine")
    assert new("file", "python", tmp_path).exit_code == 1


@pytest.mark.parametrize("name", ["Tank_Advice", "x-", "a" * 64, "größe"])
def test_a_bad_name_is_bad_input_with_one_that_would_do(name: str, tmp_path: Path) -> None:
    refused = new(name, "python", tmp_path)
    assert refused.exit_code == 2
    assert "is no name" in refused.stderr
    assert "tank-advice would do" in refused.stderr or name != "Tank_Advice"
    assert list(tmp_path.iterdir()) == []
