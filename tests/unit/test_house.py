"""The house rules that a machine can judge. The layers are import-linter's (pyproject.toml); the rest is here."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from edge_agent.cli.root import edgectl

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "edge_agent").rglob("*.py"))
ADAPTERS = [path for path in MODULES if "adapters" in path.parts]
EMPTY_NAMES = {"utils", "util", "helper", "helpers", "manager", "managers", "common", "misc", "base", "core"}
MOST_LINES = 300
MOST_PARAMETERS = 5


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=name_of(path))


def functions_of(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_module_is_longer_than_one_reads_in_a_sitting():
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_every_module_says_what_it_is_for():
    assert [name_of(path) for path in MODULES if not ast.get_docstring(tree_of(path))] == []


def is_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Click calls it, with a keyword for each of its options."""
    return any(root_name(decorator) == "click" for decorator in function.decorator_list)


def test_no_function_takes_more_than_five_positional_parameters():
    wide = []
    for path in MODULES:
        for function in functions_of(path):
            if is_command(function):
                continue
            names = [argument.arg for argument in function.args.posonlyargs + function.args.args]
            if len([name for name in names if name not in ("self", "cls")]) > MOST_PARAMETERS:
                wide.append(f"{name_of(path)}:{function.lineno} {function.name}")
    assert wide == []


def test_modules_are_named_after_what_they_hold():
    assert [name_of(path) for path in MODULES if EMPTY_NAMES & set(path.stem.strip("_").split("_"))] == []


def outside_names(tree: ast.Module) -> set[str]:
    """The names a module binds to things of outside libraries, sqlite3 counted among them."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [(alias.name, alias.asname or alias.name.partition(".")[0]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found = [(node.module, alias.asname or alias.name) for alias in node.names]
        else:
            continue
        for module, bound in found:
            library = module.partition(".")[0]
            if library == "sqlite3" or library not in {*sys.stdlib_module_names, "edge_agent"}:
                names.add(bound)
    return names


def root_name(node: ast.expr | None) -> str:
    while isinstance(node, ast.Attribute | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def leaks(path: Path) -> Iterator[str]:
    """Where a module raises an exception of an outside library."""
    tree = tree_of(path)
    outside = outside_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and root_name(node.exc) in outside:
            yield f"{name_of(path)}:{node.lineno}"


def test_no_adapter_raises_an_exception_of_its_library():
    assert [place for path in ADAPTERS for place in leaks(path)] == []


def test_the_leak_finder_finds_leaks(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    module = tmp_path / "adapter.py"
    module.write_text(
        "import sqlite3\nfrom pymongo.errors import PyMongoError\n"
        "def a():\n    raise sqlite3.OperationalError('x')\n"
        "def b():\n    raise PyMongoError\n"
        "def c():\n    try:\n        a()\n    except sqlite3.Error as error:\n        raise ValueError from error\n"
    )
    assert list(leaks(module)) == ["adapter.py:4", "adapter.py:6"]


@pytest.fixture(scope="module")
def makefile() -> str:
    return (ROOT / "Makefile").read_text()


def test_every_suite_is_run_by_a_make_target(makefile):
    folders = {path.parent.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").rglob("test_*.py")}
    named = set(re.search(r"^SUITES := (.*)$", makefile, re.M)[1].split()) | set(
        re.findall(r"tests\.summary (\w+)", makefile)
    )
    assert folders - named == set()
    assert named - folders - {"lint"} == set(), "a target for a suite that is not there"


def test_make_help_lists_every_target(makefile):
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    assert targets == set(re.findall(r"^([a-z-]+):.*## ", makefile, re.M))
    assert targets == set(re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split())


def plain(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-").replace(".", "-")


def test_the_lock_files_hold_what_the_project_asks_for_with_hashes_and_no_host():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {
        "requirements.lock": project["project"]["dependencies"] + project["dependency-groups"]["build"],
        "requirements-dev.lock": project["dependency-groups"]["dev"],
    }
    for name, requirements in wanted.items():
        text = (ROOT / name).read_text()
        locked = re.findall(r"^([a-z0-9.-]+)==", text, re.M)
        assert {plain(requirement) for requirement in requirements} - set(locked) == set()
        assert len(locked) == len(re.findall(r"^[a-z0-9.-]+==.*\\\n    --hash=sha256:", text, re.M))
        assert "://" not in text


def documents() -> list[Path]:
    return [path for path in sorted(ROOT.glob("*.md")) if path.name != "LICENSE"] + sorted(
        (ROOT / "tests").glob("*.md")
    )


def test_links_in_the_documents_lead_somewhere():
    dead = []
    for path in documents():
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)|<img[^>]+src=\"([^\"]+)\"", path.read_text()):
            link = target[0] or target[1]
            if "://" not in link and not (path.parent / link).exists():
                dead.append(f"{name_of(path)}: {link}")
    assert dead == []


def test_make_targets_in_the_documents_exist(makefile):
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    named = {target for path in documents() for target in re.findall(r"`make ([a-z-]+)", path.read_text())}
    assert named - targets == set()


def test_commands_in_the_documents_exist():
    unknown = []
    for path in documents():
        for line in re.findall(r"\bedgectl ((?:[a-z]+ ?)+)", path.read_text()):
            command: click.Command = edgectl
            for word in line.split():
                if not isinstance(command, click.Group):
                    break
                found = command.get_command(click.Context(command), word)
                if found is None:
                    unknown.append(f"{name_of(path)}: edgectl {line}")
                    break
                command = found
    assert unknown == []
