"""Dead letters in the journal: found, counted, and held to a bound. They are invocations in the state `dead`.

Guarantee: at most `MOST` of them and `MOST_BYTES` of what they carry are kept, newest first; what is let go is counted.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from edge_agent.domain.deadletters import Selection

MOST = 10_000
MOST_BYTES = 256 * 1024 * 1024
"""A flood of the largest events must not fill a card: at most 6 MiB each."""


def where(selection: Selection) -> tuple[str, list[Any]]:
    """The condition and its values; over the index `dead_letter`."""
    text, values = "state='dead'", []
    for condition, value in (
        ("id=?", selection.id),
        ("function=?", selection.function),
        ("kind=?", selection.kind),
        ("ended>=?", selection.since),
        ("ended<?", selection.until),
    ):
        if value:
            text += f" AND {condition}"
            values.append(value)
    if selection.device:
        text += " AND id>=? AND id<?"
        values += [f"{selection.device}/", f"{selection.device}0"]  # 0 follows / in ASCII
    return text, values


def page(limit: int, before: str) -> tuple[str, list[Any]]:
    """The rest of a query for one page, newest first; `before` is `cursor` of the last row of the page before."""
    text, values = "", []
    if before:
        died, _, number = before.partition("-")
        text, values = " AND (ended, rowid) < (?, ?)", [int(died), int(number)]
    return f"{text} ORDER BY ended DESC, rowid DESC LIMIT ?", [*values, limit]


def cursor(row: sqlite3.Row) -> str:
    return f"{row['ended']}-{row['number']}"


def bound(db: sqlite3.Connection, most: int = MOST, most_bytes: int = MOST_BYTES) -> int:
    """Remove the oldest beyond the bounds; how many."""
    found = db.execute(
        "SELECT ended, number FROM (SELECT ended, rowid AS number, row_number() OVER newest AS place, "
        "sum(length(event) + coalesce(length(response), 0)) OVER newest AS size FROM invocation WHERE state='dead' "
        "WINDOW newest AS (ORDER BY ended DESC, rowid DESC)) WHERE place > ? OR (size > ? AND place > 1) LIMIT 1",
        (most, most_bytes),
    ).fetchone()
    if found is None:
        return 0
    return db.execute(
        "DELETE FROM invocation WHERE state='dead' AND (ended, rowid) <= (?, ?)", (found[0], found[1])
    ).rowcount


def as_summary(row: sqlite3.Row) -> dict[str, Any]:
    """What a list shows: neither the event, which may be 6 MiB, nor the log."""
    return {
        "id": row["id"], "function": row["function"], "cause": row["cause"], "created_at": row["created"],
        "died_at": row["ended"], "attempts": row["attempts"], "kind": row["kind"] or "", "reason": row["reason"] or "",
    }  # fmt: skip
