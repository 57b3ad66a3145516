"""What is true of every folder in functions/: alone it is whole, tested, valid and explained."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.manifests import load_folder
from tests.functions.real.stage import FOLDERS, FUNCTIONS

TESTED = [folder for folder in FOLDERS if (folder / "Makefile").exists()]
names = [folder.name for folder in FOLDERS]


@pytest.mark.parametrize("folder", TESTED, ids=lambda folder: folder.name)
def test_its_own_tests_pass_in_a_copy_of_the_folder_alone(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis", ".*cache"))
    bare = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # what this repository has beside pytest is not theirs
    make = ["make", "-C", str(copy), "test", f"PYTHON={sys.executable}"]
    done = subprocess.run(make, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_function_has_tests_of_its_own() -> None:
    assert TESTED == FOLDERS


@pytest.mark.parametrize("name", ["broker.py", "letterbox.py"])
def test_files_that_stand_in_several_folders_are_the_same(name: str) -> None:
    copies = {path.parent.name: path.read_text() for path in FUNCTIONS.glob(f"*/{name}")}
    assert len(copies) > 1
    assert [folder for folder, text in copies.items() if text != next(iter(copies.values()))] == []


@pytest.mark.parametrize("folder", FOLDERS, ids=names)
def test_its_manifest_is_valid_and_says_what_it_needs(folder: Path) -> None:
    manifests = load_folder(folder)
    spec = manifests.functions[folder.name]
    assert Path(spec.source) == folder
    text = (folder / "function.yaml").read_text()
    assert "timeout:" in text
    assert "memory:" in text
    assert all(re.fullmatch(r"[0-9.]+:\d+", address) for address in spec.egress)
    wanted = {
        secret
        for path in folder.glob("*.py")
        if not path.name.startswith("test_")
        for secret in re.findall(r'"/run/secrets"\)\) / "([a-z-]+)"', path.read_text())
    }
    assert set(spec.secrets) <= wanted


@pytest.mark.parametrize("folder", FOLDERS, ids=names)
def test_it_is_explained_with_its_variables_and_what_was_measured(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    assert "measured on a 2-core x86 VM, not on a Pi" in text
    assert f"({folder.name}/README.md)" in (FUNCTIONS / "README.md").read_text()
    assert isinstance(json.loads((folder / "event.json").read_text()), dict)
    code = "".join(path.read_text() for path in folder.glob("*.py") if not path.name.startswith("test_"))
    if folder.name not in ("water-level", "thermostat"):  # whose MQTT_* are actuate's
        variables = set(re.findall(r'"((?:SMTP|MQTT|WEBHOOK|ACTUATE|EDGE|REPORT)_[A-Z_]+)"', code))
        unexplained = [name for name in variables if name not in text and f"`{name.split('_')[0]}_*`" not in text]
        assert [name for name in unexplained if name != "EDGE_SECRETS"] == []


@pytest.mark.parametrize("folder", FOLDERS, ids=names)
def test_links_in_its_readme_lead_somewhere(folder: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", (folder / "README.md").read_text()):
        assert "://" in link or (folder / link).exists(), link
