"""How the machine is, from its files: a made-up board's, and this one's."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.app.governing import limits
from edge_agent.domain.function import MiB
from edge_agent.domain.vitals import Vitals
from edge_agent.engine.functions.governor import Limits
from edge_agent.health.vitals import Look, memory
from edge_agent.settings import load
from tests.fake_pi import FakePi

PRESSURE = "some avg10={some} avg60=1.00 avg300=0.50 total=12345\nfull avg10={full} avg60=0.10 avg300=0.00 total=678\n"


def test_a_pi_tells_everything(tmp_path: Path) -> None:
    pi = FakePi(tmp_path)
    pi.write("proc/meminfo", "MemTotal:        3884000 kB\nMemFree:  100 kB\nMemAvailable:     204800 kB\n")
    pi.write("sys/class/thermal/thermal_zone0/temp", "84213\n")
    pi.write("sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n")
    for number, name in enumerate(("cpu", "memory", "io")):
        pi.write(f"proc/pressure/{name}", PRESSURE.format(some=f"{number}1.50", full=f"{number}0.25"))
    assert Look(pi.root)() == Vitals(
        memory_available=200 * MiB,
        celsius=84.213,
        slowed=True,
        under_voltage=True,
        memory_stalled=10.25,
        io_stalled=20.25,
        cpu_awaited=1.5,
    )


def test_what_was_wrong_once_since_the_start_is_not_wrong_now(tmp_path: Path) -> None:
    pi = FakePi(tmp_path)
    pi.write("sys/devices/platform/soc/soc:firmware/get_throttled", "d0000\n")
    assert Look(pi.root)() == Vitals()


@pytest.mark.parametrize("text", ["", "full\n", "some avg10=x\nfull avg10=x\n", "nothing\n"])
def test_what_cannot_be_read_is_not_told(tmp_path: Path, text: str) -> None:
    pi = FakePi(tmp_path)
    for name in ("cpu", "memory", "io"):
        pi.write(f"proc/pressure/{name}", text)
    pi.write("proc/meminfo", text)
    (pi.root / "sys/class/thermal/thermal_zone0/temp").mkdir(parents=True)
    assert Look(pi.root)() == Vitals()


def test_this_machine_tells_what_its_kernel_has() -> None:
    found = Look()()
    assert found.memory_available is not None
    assert 0 < found.memory_available <= (memory(Path("/"), "MemTotal") or 0)
    for told, name in ((found.memory_stalled, "memory"), (found.io_stalled, "io"), (found.cpu_awaited, "cpu")):
        try:
            there = Path("/proc/pressure", name).read_text() != ""
        except OSError:
            there = False
        assert (told is not None) is there, name
        assert told is None or 0.0 <= told <= 100.0
    assert (found.celsius is not None) <= any(Path("/sys/class/thermal").glob("thermal_zone*"))


def test_settings_go_before_what_suits_the_board(tmp_path: Path) -> None:
    pi = FakePi(tmp_path)
    pi.write("proc/meminfo", "MemTotal:        1048576 kB\n")
    loaded = load(None, {}, {}).settings
    suits = limits(loaded, pi.root)
    assert (suits.memory_reserve, suits.hot, suits.pressure) == (1024 * MiB // 12, 80.0, True)
    assert suits.per_second > 0
    file = tmp_path / "edge.toml"
    file.write_text(
        '[functions.starts]\nper_second = 3\nburst = 7\nmemory_reserve = "100Mi"\nhot = 0\npressure = false\n'
    )
    assert limits(load(file, {}, {}).settings, pi.root) == Limits(3.0, 7, 100 * MiB, 0.0, False)
    env = {"EDGE_FUNCTIONS__STARTS__PER_SECOND": "0", "EDGE_FUNCTIONS__STARTS__MEMORY_RESERVE": "0"}
    assert limits(load(None, env, {}).settings, pi.root) == Limits(0.0, 1, 0, 80.0, True)


def test_a_burst_that_is_not_set_goes_with_the_rate_that_is() -> None:
    half = load(None, {"EDGE_FUNCTIONS__STARTS__PER_SECOND": "10"}, {}).settings
    assert limits(half).burst == 10
