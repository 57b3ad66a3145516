from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_agent.health import Finding, Healthy, Unwell
from edge_agent.health.checks.disk import check
from tests.fake_pi import FakePi

GB = 1_000_000_000


def finding(folder: Path, *, free: int, size: int, inodes: int = 1_000_000, free_inodes: int = 500_000) -> Finding:
    block = 4096
    numbers = (block, block, size // block, free // block, free // block, inodes, free_inodes, free_inodes, 0, 255)
    return check(FakePi(folder).context(statvfs=lambda path: os.statvfs_result(numbers)))


def test_a_disk_with_room_is_well(tmp_path: Path) -> None:
    assert finding(tmp_path, free=20 * GB, size=32 * GB) == Healthy("20 GB of 32 GB are free")


@pytest.mark.parametrize(("free", "size"), [(GB // 10, GB), (GB, 32 * GB)])
def test_too_few_bytes_or_too_small_a_share_is_unwell(tmp_path: Path, free: int, size: int) -> None:
    found = finding(tmp_path, free=free, size=size)
    assert isinstance(found, Unwell)
    assert "free" in found.summary
    assert "make room" in found.try_this


def test_no_inodes_is_unwell_though_there_is_room(tmp_path: Path) -> None:
    found = finding(tmp_path, free=20 * GB, size=32 * GB, free_inodes=7)
    assert isinstance(found, Unwell)
    assert "7 more files" in found.summary


def test_a_file_system_without_inodes_of_a_fixed_number_is_not_out_of_them(tmp_path: Path) -> None:
    assert finding(tmp_path, free=20 * GB, size=32 * GB, inodes=0, free_inodes=0).ok


def test_the_real_disk_can_be_asked(tmp_path: Path) -> None:
    assert "free" in check(FakePi(tmp_path).context(statvfs=os.statvfs)).summary
