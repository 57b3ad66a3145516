from __future__ import annotations

from pathlib import Path

from edge_agent.health import Healthy, Unwell
from edge_agent.health.checks.card import ASSUMED_OVERWRITES, check
from tests.fake_pi import FakePi

GB = 1_000_000_000
DAY_S = 86_400.0


def test_an_ssd_is_well_whatever_is_written(tmp_path: Path) -> None:
    pi = FakePi(tmp_path)
    pi.disk_is("nvme0n1", size=256 * GB, written=10**15, uptime=DAY_S, partition="nvme0n1p2")
    assert check(pi.context()) == Healthy("the data folder is on nvme0n1, not on an SD card")


def test_an_sd_card_says_how_much_is_written_and_how_long_it_lasts(tmp_path: Path) -> None:
    pi = FakePi(tmp_path)
    pi.disk_is("mmcblk0", size=32 * GB, written=4 * GB, uptime=2 * DAY_S, partition="mmcblk0p2")
    found = check(pi.context())
    years = 32 * ASSUMED_OVERWRITES / 2 / 365.25
    assert isinstance(found, Healthy)
    assert "an SD card of 32 GB, and 2 GB are written to it a day" in found.summary
    assert f"{years:.0f} years" in found.summary
    assert "assumption" in found.summary


def test_a_card_that_is_written_to_death_is_unwell_and_an_ssd_is_recommended(tmp_path: Path) -> None:
    pi = FakePi(tmp_path)
    pi.disk_is("mmcblk0", size=8 * GB, written=20 * GB, uptime=DAY_S, partition="mmcblk0p2")
    found = check(pi.context())
    assert isinstance(found, Unwell)
    assert "20 GB are written to it a day" in found.summary
    assert "SSD" in found.try_this


def test_the_writes_of_a_start_are_not_taken_for_those_of_a_day(tmp_path: Path) -> None:
    pi = FakePi(tmp_path)
    pi.disk_is("mmcblk0", size=8 * GB, written=2 * GB, uptime=120.0, partition="mmcblk0p2")
    assert isinstance(check(pi.context()), Healthy)


def test_an_emmc_that_says_it_is_worn_is_believed(tmp_path: Path) -> None:
    pi = FakePi(tmp_path)
    block = pi.disk_is("mmcblk0", size=32 * GB, written=GB, uptime=DAY_S)
    (block / "device").mkdir()
    (block / "device/type").write_text("MMC\n")
    (block / "device/life_time").write_text("0x02 0x09\n")
    found = check(pi.context())
    assert isinstance(found, Unwell)
    assert "(eMMC) has used up 90%" in found.summary
    (block / "device/life_time").write_text("0x02 0x03\n")
    assert check(pi.context()).ok


def test_a_card_below_encryption_is_found(tmp_path: Path) -> None:
    pi = FakePi(tmp_path)
    card = pi.disk_is("mmcblk0", size=8 * GB, written=20 * GB, uptime=DAY_S, partition="mmcblk0p2")
    (link,) = (pi.root / "sys/dev/block").iterdir()
    link.unlink()
    mapped = pi.root / "sys/devices/virtual/block/dm-0"
    (mapped / "slaves").mkdir(parents=True)
    (mapped / "slaves/mmcblk0p2").symlink_to(card / "mmcblk0p2")
    link.symlink_to(mapped)
    assert "SD card" in check(pi.context()).summary


def test_a_folder_on_no_block_device_is_no_reason_to_worry(tmp_path: Path) -> None:
    assert check(FakePi(tmp_path).context()).ok
