from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.health import Healthy, Unwell
from edge_agent.health.checks.undervoltage import check
from tests.fake_pi import FakePi

SYSFS = "sys/devices/platform/soc/soc:firmware/get_throttled"


def test_a_machine_that_is_no_pi_is_well(tmp_path: Path) -> None:
    assert check(FakePi(tmp_path).context()) == Healthy("not a Raspberry Pi that tells of its supply")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("0", "the supply holds its voltage"),
        ("50005", "too low now"),
        ("50000", "since the Pi was started"),
        ("e0008", "the supply holds its voltage"),
    ],
)
def test_the_bits_of_the_kernels_file_are_read_as_documented(tmp_path: Path, told: str, expected: str) -> None:
    pi = FakePi(tmp_path)
    pi.write(SYSFS, f"{told}\n")
    assert expected in check(pi.context()).summary


def test_vcgencmd_is_asked_where_there_is_no_file(tmp_path: Path) -> None:
    pi = FakePi(tmp_path)
    pi.write("usr/bin/vcgencmd", '#!/bin/sh\n[ "$1" = get_throttled ] && echo throttled=0x50005\n').chmod(0o755)
    found = check(pi.context())
    assert isinstance(found, Unwell)
    assert "too low now" in found.summary
    assert "supply made for this board" in found.try_this


def test_a_vcgencmd_that_may_not_ask_is_as_good_as_none(tmp_path: Path) -> None:
    pi = FakePi(tmp_path)
    pi.write("usr/bin/vcgencmd", "#!/bin/sh\necho VCHI initialization failed\nexit 1\n").chmod(0o755)
    assert check(pi.context()).ok


def test_the_kernels_watch_on_the_supply_is_enough(tmp_path: Path) -> None:
    pi = FakePi(tmp_path)
    pi.write("sys/class/hwmon/hwmon0/name", "cpu_thermal\n")
    pi.write("sys/class/hwmon/hwmon1/name", "rpi_volt\n")
    alarm = pi.write("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")
    assert "too low now" in check(pi.context()).summary
    alarm.write_text("0\n")
    assert check(pi.context()) == Healthy("the supply holds its voltage")
