"""The line that CI believes is right: skipped, broken and empty suites count as failed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.summary import Result, counted, table


@pytest.fixture
def run(tmp_path):
    def run(source: str) -> Result:
        (tmp_path / "test_it.py").write_text(source)
        report = tmp_path / "report.xml"
        command = [sys.executable, "-m", "pytest", "--rootdir", str(tmp_path), "-c", "/dev/null", str(tmp_path)]
        done = subprocess.run(
            [*command, f"--junitxml={report}"],
            cwd=tmp_path,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            check=False,
        )
        return counted("it", done.returncode, report, 1.0)

    return run


def test_passed_failed_broken_and_skipped_tests_are_told_apart(run):
    result = run(
        "import pytest\n"
        "@pytest.fixture\ndef broken():\n    raise OSError\n"
        "def test_good(): pass\n"
        "def test_bad(): assert False\n"
        "def test_broken(broken): pass\n"
        "def test_skipped(): pytest.skip('no broker')\n"
    )
    assert (result.passed, result.failed) == (1, 3)
    assert "test_it::test_skipped (skipped: no broker)" in result.remarks


def test_a_test_that_fails_twice_is_one_failed_test(run):
    result = run(
        "import pytest\n"
        "@pytest.fixture\ndef untidy():\n    yield\n    raise OSError\n"
        "def test_bad(untidy): assert False\n"
        "def test_good(): pass\n"
    )
    assert (result.passed, result.failed) == (1, 1)


@pytest.mark.parametrize("source", ["", "import nothing_of_that_name\n"])
def test_a_suite_that_ran_no_test_has_failed(run, source):
    assert run(source).failed == 1


def test_a_suite_that_left_no_report_has_failed(tmp_path):
    assert counted("it", 0, tmp_path / "none.xml", 1.0).failed == 1


def test_the_last_line_is_the_one_that_ci_reads():
    lines = table([Result("unit", 3, 0, 1.2), Result("flow", 1, 1, 4.0, ("test_x::test_y",))]).splitlines()
    assert lines[-1] == "4 passed, 1 failed"
    assert "FAILED flow: test_x::test_y" in lines
