"""Invocations and settlements that share a transaction: many in one statement, as if each had been written alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.adapters.journal_sqlite import SqliteJournal
from edge_agent.domain.invocation import Attempt, Failed, Invocation, Settlement, Succeeded
from edge_agent.ports import Entries
from tests.clock import now_ms


@pytest.fixture
def journals(tmp_path: Path) -> Iterator[tuple[SqliteJournal, SqliteJournal]]:
    both = []
    for name in ("together", "alone"):
        (tmp_path / name).mkdir()
        both.append(SqliteJournal(tmp_path / name, now_ms, linger=3600.0))
    yield both[0], both[1]
    for journal in both:
        journal.close()


def life(number: int, dice: random.Random) -> list[Entries]:
    """What is written of one event, in order: its record, leases, failures, and mostly an end; some of it twice."""
    id, function = f"e{number}", dice.choice(("pump", "lamp"))
    told = [Entries(invocations=[Invocation(id, function, bytes(dice.randrange(99)), 5, "rule:r", 1, number)])]
    for attempt in range(1, dice.randrange(1, 5)):
        phase = Attempt(attempt, f"r{number}-{attempt}", 6.0, 7.0)
        if attempt > 1:
            told.append(Entries(settlements=[Settlement(id, function, "leased", 8, phase)]))
        failed = Failed("timeout", "too late", log="…", error=dice.choice((b"", b"\xff{}")))
        told.append(Entries(settlements=[Settlement(id, function, "waiting", 9, phase, failed, due=99)]))
    last = Attempt(9, f"r{number}-9", 6.0, 7.0, 8.0)
    ends = [
        Settlement(id, function, "answered", 10, last, Succeeded(b"\x00\xff", "image/png")),
        Settlement(id, function, "dead", 11, last, Failed("function-error", "no")),
    ]
    dice.shuffle(ends)
    told += [Entries(settlements=[end]) for end in ends[: dice.randrange(3)]]
    return told


def shuffled(count: int, dice: random.Random) -> list[Entries]:
    """The lives of `count` events at once, each one's own order kept."""
    lives = [life(number, dice) for number in range(count)]
    told = []
    while lives:
        chosen = dice.choice(lives)
        told.append(chosen.pop(0))
        if not chosen:
            lives.remove(chosen)
    return told


def rows(journal: SqliteJournal) -> list[dict[str, Any]]:
    return [dict(row) for row in journal._all("SELECT rowid, * FROM invocation ORDER BY rowid")]


@pytest.mark.parametrize("seed", range(5))
def test_a_group_of_commits_reads_as_if_each_had_been_written_alone(
    journals: tuple[SqliteJournal, SqliteJournal], seed: int
) -> None:
    together, alone = journals
    for entries in shuffled(80, random.Random(seed)):
        together.commit(entries, urgent=False)
        alone.commit(entries)
        assert alone.flush()
    assert together.flush()
    assert together.writer.commits == 1
    assert rows(together) == rows(alone)
    assert len(rows(together)) == 80
