"""The journal's log is copied beside the writer, begins anew when it has been, and stays bounded whatever happens."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.adapters.journal_sqlite import SqliteJournal, checkpoints, schema
from edge_agent.domain.invocation import Invocation
from edge_agent.ports import Entries
from tests.waiting import eventually

PAGE = 4096


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """(thread, pages it copied) of each checkpoint; SQLite does the real one."""
    found: list[tuple[str, int]] = []
    copy = checkpoints._copy

    def watched(db: sqlite3.Connection) -> None:
        before = _state(db)[1]
        copy(db)
        found.append((threading.current_thread().name, _state(db)[1] - before))

    monkeypatch.setattr(checkpoints, "_copy", watched)
    return found


def _state(db: sqlite3.Connection) -> tuple[int, int]:
    index = Path(db.execute("PRAGMA database_list").fetchone()[2] + "-shm").read_bytes()
    return int.from_bytes(index[16:20], "little"), int.from_bytes(index[96:100], "little")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    journal = SqliteJournal(tmp_path, clock=lambda: 1_763_888_888_000, linger=0.01)
    yield journal
    journal.close()


def flood(journal: SqliteJournal, commits: int, start: int = 0) -> None:
    """Commits of some three pages each, one by one."""
    for number in range(start, start + commits):
        journal.commit(Entries(invocations=[Invocation(f"tank/b/{number}/r", "f", b"x" * 9000, 1_763_888_888_000)]))
        assert journal.flush()


def test_the_log_is_copied_by_another_thread_and_the_writer_copies_only_the_rest(
    journal: SqliteJournal, copies: list[tuple[str, int]]
) -> None:
    flood(journal, 1500)
    eventually(lambda: any(thread == "checkpoints" for thread, _ in copies))
    by_writer = [pages for thread, pages in copies if thread == "journal"]
    by_thread = [pages for thread, pages in copies if thread == "checkpoints"]
    assert max(by_writer, default=0) <= checkpoints.REST
    assert sum(by_thread) >= checkpoints.BEGIN


def test_the_log_begins_anew_and_so_stays_within_what_it_was_given(journal: SqliteJournal, tmp_path: Path) -> None:
    frames = []
    for round in range(20):
        flood(journal, 150, round * 150)
        frames.append(journal._checkpoints._state()[0])
    assert any(later < earlier for earlier, later in itertools.pairwise(frames))
    assert (tmp_path / "journal.db-wal").stat().st_size <= (checkpoints.MOST + 500) * (PAGE + 24)


def test_a_log_that_nobody_copies_in_time_is_copied_by_the_writer(
    journal: SqliteJournal, copies: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "MOST", 1200)
    journal._checkpoints._idle = False  # as while the thread is held up by the disk
    flood(journal, 500)
    assert {thread for thread, _ in copies} == {"journal"}
    assert journal._checkpoints._state()[0] <= 1200 + 100


def test_what_is_committed_while_the_log_is_copied_is_there_after_a_restart(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path, clock=lambda: 1_763_888_888_000, linger=0.01)
    flood(journal, 800)
    journal.close()
    with sqlite3.connect(tmp_path / "journal.db") as db:
        assert db.execute("SELECT count(*) FROM invocation").fetchone() == (800,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_other_connections_still_checkpoint_by_themselves(tmp_path: Path) -> None:
    db = schema.connect(str(tmp_path / "other.db"))
    assert db.execute("PRAGMA wal_autocheckpoint").fetchone() == (1000,)
    db.close()
