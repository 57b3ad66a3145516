"""Local workers under control groups of version 2, which is what a Raspberry Pi has: the same tests as elsewhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.guest import guest


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    "tests",
    [
        ("tests/functions/test_limits.py", "-k", "not no-groups and not flood and not burst and not mebibytes"),
        ("tests/functions/test_leaks.py",),
        ("tests/conformance/test_runner.py", "-k", "processes and not without"),
    ],
    ids=["limits", "leaks", "runner"],
)
def test_workers_are_held_and_ended_by_control_groups_of_version_2(tmp_path: Path, tests: tuple[str, ...]) -> None:
    pytest_ = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", "--basetemp=/run/pytest"]
    ended = guest.run([*pytest_, *tests], tmp_path, environment={"EDGE_TEST_CGROUP_VERSION": "2"}, seconds=1400)
    assert ended.status == 0, ended.printed[-6000:]
    assert re.search(r"^\d+ passed(, \d+ deselected)? in", ended.printed, re.MULTILINE), ended.printed[-500:]


def test_a_guest_says_how_its_errand_ended_and_changes_nothing_here(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    script = f"echo made > {mark}; cat {mark} /proc/self/cgroup; exit 7"
    ended = guest.run(["sh", "-c", script], tmp_path, seconds=300)
    assert ended == guest.Ended(7, "made\n0::/edge-agent.service\n")
    assert not mark.exists()


def test_an_errand_that_does_not_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match="sleep 1000: not done in 25 s"):
        guest.run(["sleep", "1000"], tmp_path, seconds=25)
