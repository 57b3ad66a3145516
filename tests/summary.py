"""Run suites one after the other and tell, a line each, how they ended; then one line for all.

A suite is a folder of `tests/`, or `lint`. Whatever follows `--` goes to pytest:

    python -m tests.summary unit flow -- -k hysteresis

A skipped test counts as failed: what could not be tried was not proved. So does a suite that ran no test.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
REPORTS = ROOT / ".cache" / "junit"

AS_ROOT = {"cluster", "k3s", "kubernetes", "kubernetes_manifests", "images", "ansible"}
"""Suites that make namespaces, mounts and control groups: through sudo where the caller is not root."""
LONGEST = 900.0
"""Seconds until a suite is ended as hung. Each test has its own, shorter limit (pytest-timeout)."""


@dataclass(frozen=True, slots=True)
class Result:
    """How one suite ended. `skipped` tests are among the `failed`."""

    suite: str
    passed: int
    failed: int
    seconds: float
    remarks: tuple[str, ...] = ()


def shell_files() -> list[str]:
    """The shell scripts under version control's eyes, by their first line."""
    folders = (ROOT / name for name in (".ci", "ansible", "functions", "images", "tests"))
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    shells = (b"#!/bin/sh", b"#!/bin/bash", b"#!/usr/bin/env bash")
    return [str(path.relative_to(ROOT)) for path in sorted(files) if path.read_bytes()[:32].startswith(shells)]


def checks() -> dict[str, list[str]]:
    """What `lint` runs: a name and a command each."""
    return {
        "ruff check": ["ruff", "check", "."],
        "ruff format": ["ruff", "format", "--check", "."],
        "mypy --strict": ["mypy"],
        "import-linter": ["lint-imports"],
        "codespell": ["codespell"],
        "shellcheck": ["shellcheck", *shell_files()],
        "ansible-lint": ["ansible-lint", "--offline", "--profile", "production", "--nocolor", "-q", "ansible"],
    }


def lint() -> Result:
    """Run all checks, print what the failing ones say."""
    start, failing, commands = time.monotonic(), [], checks()
    for name, command in commands.items():
        began = time.monotonic()
        done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
        print(f"{'ok  ' if done.returncode == 0 else 'FAIL'} {name} ({time.monotonic() - began:.0f} s)", flush=True)
        if done.returncode:
            failing.append(name)
            print(done.stdout + done.stderr, flush=True)
    return Result("lint", len(commands) - len(failing), len(failing), time.monotonic() - start, tuple(failing))


def tests(suite: str, options: list[str]) -> Result:
    """Run one folder with pytest and count from its report, not from its words. With options there is no limit of time."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    report = REPORTS / f"{suite}.xml"
    report.unlink(missing_ok=True)
    start = time.monotonic()
    command = [sys.executable, "-m", "pytest", f"tests/{suite}", f"--junitxml={report}", *options]
    if suite in AS_ROOT and os.geteuid() != 0:
        command = ["sudo", "--preserve-env", "env", "PYTHONDONTWRITEBYTECODE=1", f"PATH={os.environ['PATH']}", *command]
        command += ["-p", "no:cacheprovider"]  # nothing in the checkout is to be root's
    try:
        code = subprocess.run(command, cwd=ROOT, check=False, timeout=None if options else LONGEST).returncode
    except subprocess.TimeoutExpired:
        return Result(suite, 0, 1, time.monotonic() - start, ("ended as hung",))
    return counted(suite, code, report, time.monotonic() - start)


def counted(suite: str, code: int, report: Path, seconds: float) -> Result:
    """Make a result from pytest's exit code and its JUnit report."""
    if not report.exists():
        return Result(suite, 0, 1, seconds, (f"pytest ended with {code} and left no report",))
    cases: dict[str, str | None] = {}  # a test that fails and then breaks in its tear-down is in the report twice
    for case in ET.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        fault = verdict(case)
        cases[name] = cases.get(name) if fault is None else fault
    remarks = [name + fault for name, fault in cases.items() if fault is not None]
    failed = len(remarks)
    if code and not failed:
        remarks.append("no test ran" if code == 5 else f"pytest ended with {code}")
    return Result(suite, len(cases) - failed, len(remarks), seconds, tuple(remarks))


def verdict(case: ET.Element) -> str | None:
    """None where the test passed, else what to say behind its name."""
    skipped = case.find("skipped")
    if skipped is not None:
        return f" (skipped: {skipped.get('message', '')})"
    return None if case.find("failure") is None and case.find("error") is None else ""


def table(results: list[Result]) -> str:
    """One line per suite, what failed by name, and the closing line."""
    lines = ["", f"{'suite':<22}{'passed':>8}{'failed':>8}{'time':>9}"]
    lines += [f"{r.suite:<22}{r.passed:>8}{r.failed:>8}{r.seconds:>7.0f} s" for r in results]
    lines += [f"FAILED {r.suite}: {remark}" for r in results for remark in r.remarks]
    lines += ["", f"{sum(r.passed for r in results)} passed, {sum(r.failed for r in results)} failed"]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 when everything passed."""
    split = arguments.index("--") if "--" in arguments else len(arguments)
    suites, options = arguments[:split], arguments[split + 1 :]
    results = []
    for suite in suites:
        print(f"\n== {suite}", flush=True)
        results.append(lint() if suite == "lint" else tests(suite, options))
    print(table(results), flush=True)
    return 1 if any(r.failed for r in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
