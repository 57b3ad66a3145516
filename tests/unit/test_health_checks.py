"""How checks are found and run, and what every one of them owes to whoever reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.health import Broker, Healthy, Journal, Unwell, checks, every_check, run_checks
from edge_agent.health.amounts import lasting, size
from tests.fake_pi import NOW, FakePi


def test_a_check_is_found_by_its_file_being_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(every_check())
    monkeypatch.setattr(checks, "__path__", [*checks.__path__, str(tmp_path)])
    (tmp_path / "moonphase.py").write_text(
        "from edge_agent.health import Healthy\ndef check(context):\n    return Healthy('waxing')\n"
    )
    assert set(every_check()) - before == {"moonphase"}
    assert ("moonphase", Healthy("waxing")) in run_checks(FakePi(tmp_path).context())


def test_a_check_that_fails_is_a_finding_and_stops_no_other(tmp_path: Path) -> None:
    def broken(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    found = dict(run_checks(FakePi(tmp_path).context(statvfs=broken, kernel_clock_in_step=lambda: True)))
    assert isinstance(found["disk"], Unwell)
    assert "Permission denied" in found["disk"].summary
    assert found["clock"].ok
    assert list(found) == sorted(every_check())


def test_every_check_has_a_test_of_its_name() -> None:
    here = {path.stem for path in Path(__file__).parent.glob("test_health_*.py")}
    assert {f"test_health_{name}" for name in every_check()} <= here


def test_a_well_pi_is_well_in_every_way(tmp_path: Path) -> None:
    pi = FakePi(tmp_path)
    pi.write("run/systemd/timesync/synchronized", "")
    pi.write("sys/class/thermal/thermal_zone0/temp", "48000\n")
    pi.write("sys/devices/platform/soc/soc:firmware/get_throttled", "0\n")
    pi.disk_is("nvme0n1", size=256 * 10**9, written=10**9, uptime=86_400.0)
    context = pi.context(broker=Broker("127.0.0.1:1883", True, NOW), journal=Journal(0, 0, 0.005))
    assert [(name, found) for name, found in run_checks(context) if not found.ok and name != "disk"] == []


def test_amounts_are_said_in_the_largest_unit_that_fits() -> None:
    assert [lasting(ms) for ms in (-5, 900, 119_000, 120_000, 7_200_000, 3 * 86_400_000, 4e11)] == [
        "0 s", "1 s", "119 s", "2 min", "2 h", "3 days", "13 years",
    ]  # fmt: skip
    assert [size(n) for n in (0, 999, 1500, 2.5e6, 32e9, 1.2e12)] == [
        "0 bytes", "999 bytes", "1.5 kB", "2.5 MB", "32 GB", "1.2 TB",
    ]  # fmt: skip
