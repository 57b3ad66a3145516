"""How values become rows and rows become values: all SQL that writes, and the shapes that reads share."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import msgspec

from edge_agent.domain.alert import Alert
from edge_agent.domain.invocation import Invocation
from edge_agent.domain.reading import About, Sample
from edge_agent.domain.usage import Usage
from edge_agent.ports import Entries, Pending

pack = msgspec.msgpack.Encoder().encode
unpack_samples = msgspec.msgpack.Decoder(list[Sample]).decode
unpack_usage = msgspec.msgpack.Decoder(Usage, strict=False).decode
unpack_about = msgspec.msgpack.Decoder(About).decode

REJECTED_KEPT = 1000
"""Rows; a flood of poison must not fill the card, and its beginning and end tell enough."""


_UPSERT_ALERT = """
    INSERT INTO alert (id, since, state, late, told, body) VALUES (?,?,?,?,?,?)
    ON CONFLICT (id) DO UPDATE SET state=excluded.state,
        over=CASE excluded.state WHEN 'resolved' THEN excluded.body END,
        body=CASE excluded.state WHEN 'resolved' THEN body ELSE excluded.body END,
        late=CASE excluded.state WHEN 'resolved' THEN late ELSE min(late, excluded.late) END,
        told=CASE excluded.state WHEN 'resolved' THEN late ELSE min(late, excluded.late) END"""
"""The end of an episode that people were told of is told too, however late it is found."""


def write(db: sqlite3.Connection, number: int, entries: Entries, now: int) -> None:
    """Write one commit's entries inside the caller's transaction; invocations and settlements are `events`' part."""
    if entries.samples:
        db.execute(
            "INSERT OR REPLACE INTO batch VALUES (?,?,?,?)",
            (number, now, len(entries.samples), pack(entries.samples)),
        )
    if entries.rejected:
        db.executemany(
            "INSERT INTO rejected (received, body) VALUES (?,?)", ((r.received, pack(r)) for r in entries.rejected)
        )
        db.execute("DELETE FROM rejected WHERE id <= (SELECT max(id) FROM rejected) - ?", (REJECTED_KEPT,))
    if entries.alerts:
        db.executemany(_UPSERT_ALERT, ((a.id, a.since, a.state, a.late, a.late, pack(a)) for a in entries.alerts))
    if entries.states:
        db.executemany(
            "INSERT OR REPLACE INTO rule_state (rule, device, upto, body) VALUES (?,?,?,?)",
            ((s.rule, s.device, number, s.body) for s in entries.states if s.body),
        )
        db.executemany(
            "DELETE FROM rule_state WHERE rule=? AND device=?",
            ((s.rule, s.device) for s in entries.states if not s.body),
        )
    for about in entries.abouts:
        db.execute(
            "INSERT INTO device (name, about) VALUES (?,?) ON CONFLICT (name) DO UPDATE SET about=excluded.about",
            (about.device, pack(about)),
        )
    for mark in entries.crons:
        if mark.at:
            db.execute("INSERT OR REPLACE INTO cron VALUES (?,?,?)", (mark.function, mark.schedule, mark.at))
        else:
            db.execute("DELETE FROM cron WHERE function=? AND schedule=?", (mark.function, mark.schedule))


def pending(db: sqlite3.Connection, function: str, *, after: int, limit: int, most_bytes: int) -> Iterator[Pending]:
    """What of `function` ("" = all) has not ended, see `ports.Journal.fetch`; over the index `unfinished`."""
    whose, values = ("function=? AND ", [function]) if function else ("", [])
    found = db.execute(
        "SELECT rowid, id, function, event, created, cause, attempts, due FROM invocation "  # noqa: S608 - our own words
        f"WHERE ended IS NULL AND {whose}rowid > ? ORDER BY rowid LIMIT ?",
        (*values, after, limit),
    )
    for place, *fields in found:
        yield Pending(place, Invocation(*fields))
        most_bytes -= len(fields[2])
        if most_bytes <= 0:
            return


def as_summary(row: sqlite3.Row) -> dict[str, Any]:
    """What a list of invocations shows."""
    return {
        "id": row["id"], "function": row["function"], "state": row["state"], "cause": row["cause"],
        "created_at": row["created"], "ended_at": row["ended"], "attempts": row["attempts"], "kind": row["kind"] or "",
        "reason": row["reason"] or "", "phases": msgspec.json.decode(row["phases"] or "[]"),
    }  # fmt: skip


def as_detail(row: sqlite3.Row) -> dict[str, Any]:
    """What one invocation shows: all of it."""
    return as_summary(row) | {
        "event": row["event"], "response": row["response"] or b"", "content_type": row["content_type"] or "",
        "log": row["log"] or "", "due": row["due"],
    }  # fmt: skip


def as_alert(row: sqlite3.Row) -> Alert:
    """What it fired with, and how it ended."""
    alert = msgspec.msgpack.decode(row["body"], type=Alert)
    over = msgspec.msgpack.decode(row["over"], type=Alert) if row["over"] else alert
    return msgspec.structs.replace(
        alert,
        state=over.state,
        until=over.until,
        ended=over.ended,
        late=bool(row["late"]),
        acked_by=row["acked_by"],
        acked_at=row["acked_at"],
    )
