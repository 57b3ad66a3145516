"""How the function engine reads back what did not fit into its memory: a piece at a time, in the order recorded."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.adapters.journal_sqlite import SqliteJournal
from edge_agent.domain.deadletters import Selection
from edge_agent.domain.invocation import Attempt, Failed, Invocation, Settlement, Succeeded
from edge_agent.ports import Entries, Pending
from tests.clock import now_ms


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    journal = SqliteJournal(tmp_path, now_ms, linger=3600.0)
    yield journal
    journal.close()


def event(number: int, function: str = "pump", size: int = 10) -> Invocation:
    return Invocation(f"e{number}", function, bytes(size), 5)


def ended(number: int, state: str = "answered") -> Settlement:
    outcome = Succeeded(b"") if state == "answered" else Failed("timeout", "late")
    return Settlement(f"e{number}", "pump", state, 9, Attempt(1, "r", 6.0), outcome)


def fetch(
    journal: SqliteJournal, function: str = "pump", *, after: int = 0, limit: int = 100, most_bytes: int = 10**9
) -> list[Pending]:
    found: list[Pending] = []
    done = threading.Event()

    def then(pending: list[Pending]) -> None:
        found.extend(pending)
        done.set()

    journal.fetch(function, then, after=after, limit=limit, most_bytes=most_bytes)
    assert done.wait(10)
    return found


def ids(found: list[Pending]) -> list[str]:
    return [pending.invocation.id for pending in found]


def test_a_piece_begins_where_the_one_before_ended(journal: SqliteJournal) -> None:
    journal.commit(Entries(invocations=[event(number, "pump" if number % 2 else "lamp") for number in range(10)]))
    first = fetch(journal, limit=2)
    assert ids(first) == ["e1", "e3"]
    assert ids(fetch(journal, after=first[-1].place)) == ["e5", "e7", "e9"]
    assert fetch(journal, after=10**6) == []


def test_a_piece_ends_with_the_event_that_makes_it_large_enough(journal: SqliteJournal) -> None:
    journal.commit(Entries(invocations=[event(number, size=100) for number in range(5)]))
    assert ids(fetch(journal, most_bytes=1)) == ["e0"]
    assert ids(fetch(journal, most_bytes=101)) == ["e0", "e1"]


def test_it_sees_what_was_committed_before_it_and_nothing_that_came_after(journal: SqliteJournal) -> None:
    order: list[object] = []
    done = threading.Event()
    journal.commit(Entries(invocations=[event(1), event(2)]), urgent=False, then=lambda: order.append("recorded"))
    journal.commit(Entries(settlements=[ended(1)]), urgent=False)
    journal.fetch("pump", lambda found: order.append(ids(found)), after=0, limit=9, most_bytes=10**9)
    journal.commit(Entries(invocations=[event(3)]), then=done.set)
    assert done.wait(10)
    assert order == ["recorded", ["e2"]]


def test_a_place_is_never_given_twice_whatever_is_removed(journal: SqliteJournal) -> None:
    journal.commit(Entries(invocations=[event(1), event(2), event(3)]))
    last = fetch(journal)[-1].place
    journal.commit(Entries(settlements=[ended(3, "dead"), ended(2)]))
    journal.purge(Selection())
    journal.commit(Entries(invocations=[event(4)]))
    assert [pending.place > last for pending in fetch(journal)] == [False, True]


def test_a_redriven_event_has_its_place_behind_all_others(journal: SqliteJournal) -> None:
    journal.commit(Entries(invocations=[event(1), event(2)], settlements=[ended(1, "dead")]))
    last = fetch(journal)[-1].place
    journal.redrive("e1", "pump", 77)
    journal.commit(Entries(invocations=[event(3)]))
    assert ids(fetch(journal, after=last)) == ["e1", "e3"]


def test_what_is_unfinished_is_told_by_function(journal: SqliteJournal) -> None:
    assert journal.unfinished() == (0, [])
    journal.commit(Entries(invocations=[event(1), event(2, "lamp"), event(3, "horn")]))
    journal.commit(Entries(settlements=[ended(1)]))
    journal.flush()
    last, functions = journal.unfinished()
    assert functions == ["horn", "lamp"]
    assert fetch(journal, "horn")[0].place == last


def test_a_backlog_of_others_is_not_read(journal: SqliteJournal) -> None:
    """Over the index, however long the table is."""
    plan = sqlite3.connect(journal.path).execute(
        "EXPLAIN QUERY PLAN SELECT rowid, event FROM invocation "
        "WHERE ended IS NULL AND function='pump' AND rowid > 5 ORDER BY rowid LIMIT 10"
    )
    ((*_, words),) = plan.fetchall()
    assert "USING INDEX unfinished (function=? AND rowid>?)" in words
