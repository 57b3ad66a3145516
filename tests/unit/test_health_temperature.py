from __future__ import annotations

from pathlib import Path

from edge_agent.health import Healthy, Unwell
from edge_agent.health.checks.temperature import check
from tests.fake_pi import FakePi


def test_the_hottest_thermometer_counts_and_nonsense_does_not(tmp_path: Path) -> None:
    pi = FakePi(tmp_path)
    for number, told in enumerate(["48312\n", "61850\n", "-274000\n", "2147483647\n", "\n"]):
        pi.write(f"sys/class/thermal/thermal_zone{number}/temp", told)
    assert check(pi.context()) == Healthy("62 °C")


def test_eighty_degrees_is_too_hot(tmp_path: Path) -> None:
    pi = FakePi(tmp_path)
    pi.write("sys/class/thermal/thermal_zone0/temp", "80000\n")
    found = check(pi.context())
    assert isinstance(found, Unwell)
    assert "80 °C" in found.summary
    assert "fan" in found.try_this


def test_a_pi_that_slows_itself_down_is_too_hot_at_any_temperature(tmp_path: Path) -> None:
    pi = FakePi(tmp_path)
    pi.write("sys/class/thermal/thermal_zone0/temp", "61000\n")
    pi.write("sys/devices/platform/soc/soc:firmware/get_throttled", "80008\n")
    assert "slowed down" in check(pi.context()).summary


def test_having_been_hot_once_is_over(tmp_path: Path) -> None:
    pi = FakePi(tmp_path)
    pi.write("sys/class/thermal/thermal_zone0/temp", "55000\n")
    pi.write("sys/devices/platform/soc/soc:firmware/get_throttled", "80000\n")
    assert check(pi.context()).ok


def test_a_machine_without_thermometer_is_well(tmp_path: Path) -> None:
    assert check(FakePi(tmp_path).context()) == Healthy("no thermometer here")
