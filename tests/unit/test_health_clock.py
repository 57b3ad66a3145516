from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from edge_agent.health import Healthy, Unwell
from edge_agent.health.checks.clock import check
from edge_agent.health.context import kernel_clock_in_step
from tests.fake_pi import HOUR, NOW, FakePi


def test_timesyncd_having_set_the_clock_is_enough(tmp_path: Path) -> None:
    pi = FakePi(tmp_path)
    pi.write("run/systemd/timesync/synchronized", "")
    found = check(pi.context(kernel_clock_in_step=lambda: False))
    assert found == Healthy("in step with a time server, 2025-11-23 09:08 UTC")


def test_the_kernels_word_is_enough_for_other_daemons(tmp_path: Path) -> None:
    assert isinstance(check(FakePi(tmp_path).context(kernel_clock_in_step=lambda: True)), Healthy)


def test_a_clock_in_step_with_nobody_is_unwell_and_when_it_was_last_set_is_said(tmp_path: Path) -> None:
    pi = FakePi(tmp_path)
    os.utime(pi.write("var/lib/systemd/timesync/clock", ""), (0, (NOW - 5 * HOUR) / 1000))
    found = check(pi.context(kernel_clock_in_step=lambda: False))
    assert isinstance(found, Unwell)
    assert "last set 5 h ago" in found.summary
    assert "RTC" in found.try_this
    assert any("dated" in block for block in found.blocks)


@pytest.mark.parametrize(("now", "year"), [(0, "1970"), (946_684_800_000, "2000"), (5_000_000_000_000, "2128")])
def test_an_absurd_year_is_unwell_whatever_anybody_says(tmp_path: Path, now: int, year: str) -> None:
    pi = FakePi(tmp_path)
    pi.write("run/systemd/timesync/synchronized", "")
    found = check(pi.context(clock=lambda: now, kernel_clock_in_step=lambda: True))
    assert isinstance(found, Unwell)
    assert year in found.summary


def test_the_kernel_is_asked_rightly() -> None:
    """Against `adjtimex`'s other reader where there is one: systemd shows the same flag as NTPSynchronized."""
    asked = subprocess.run(
        ["timedatectl", "show", "-p", "NTPSynchronized", "--value"], capture_output=True, text=True, check=False
    )
    answer = kernel_clock_in_step()
    assert answer in (True, False)
    if asked.returncode == 0 and asked.stdout.strip():
        assert answer == (asked.stdout.strip() == "yes")
