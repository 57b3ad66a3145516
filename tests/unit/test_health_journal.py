from __future__ import annotations

from pathlib import Path

from edge_agent.health import Healthy, Journal, Unwell
from edge_agent.health.checks.journal import check
from tests.fake_pi import HOUR, NOW, FakePi


def test_a_journal_that_writes_fast_and_drains_is_well(tmp_path: Path) -> None:
    found = check(FakePi(tmp_path).context(journal=Journal(120, NOW - 60_000, 0.012)))
    assert found == Healthy("120 samples wait for the history, commits take up to 12 ms")


def test_a_full_disk_is_the_first_thing_said_and_what_it_stops(tmp_path: Path) -> None:
    found = check(FakePi(tmp_path).context(journal=Journal(9, NOW - 9 * HOUR, 5.0, "database or disk is full")))
    assert isinstance(found, Unwell)
    assert "database or disk is full" in found.summary
    assert any("acknowledged" in block for block in found.blocks)


def test_files_set_aside_are_named_until_somebody_moves_them(tmp_path: Path) -> None:
    pi = FakePi(tmp_path)
    for name in ("journal.db.damaged-20251123-090000", "journal.db.damaged-20251123-090000-wal", "journal.db"):
        (pi.data / name).write_text("")
    found = check(pi.context(journal=Journal(0, 0, 0.01)))
    assert isinstance(found, Unwell)
    assert "journal.db.damaged-20251123-090000;" in found.summary
    assert "replace the card" in found.try_this
    for path in pi.data.glob("*damaged*"):
        path.unlink()
    assert check(pi.context(journal=Journal(0, 0, 0.01))).ok


def test_readings_that_the_history_does_not_take_are_unwell(tmp_path: Path) -> None:
    found = check(FakePi(tmp_path).context(journal=Journal(86_400, NOW - 50 * HOUR, 0.01)))
    assert isinstance(found, Unwell)
    assert found.summary == "86400 samples have waited for the history up to 2 days"


def test_slow_commits_are_unwell(tmp_path: Path) -> None:
    found = check(FakePi(tmp_path).context(journal=Journal(1, NOW, 2.5)))
    assert isinstance(found, Unwell)
    assert "2.5 s" in found.summary


def test_without_an_agent_nobody_knows(tmp_path: Path) -> None:
    assert not check(FakePi(tmp_path).context()).ok
