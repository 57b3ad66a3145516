"""How values become rows and rows become values: all SQL that writes, and the shapes that reads share."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from edge_agent.domain.alert import Alert
from edge_agent.domain.invocation import Failed, Invocation, Settlement, Succeeded
from edge_agent.domain.reading import About, Sample
from edge_agent.ports import Entries

pack = msgspec.msgpack.Encoder().encode
unpack_samples = msgspec.msgpack.Decoder(list[Sample]).decode
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
    """Write one commit's entries inside the caller's transaction."""
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
    if entries.invocations:
        _write_invocations(db, entries.invocations)
    for settlement in entries.settlements:
        _write_settlement(db, settlement)
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


def _write_invocations(db: sqlite3.Connection, invocations: Sequence[Invocation]) -> None:
    db.executemany(
        "INSERT OR IGNORE INTO invocation (id, function, cause, created, state, attempts, due, event) "
        "VALUES (?,?,?,?,'leased',?,?,?)",
        ((i.id, i.function, i.cause, i.created, i.attempts, i.due, i.event) for i in invocations),
    )


def _write_settlement(db: sqlite3.Connection, settled: Settlement) -> None:
    key = (settled.id, settled.function)
    if settled.state == "leased":
        db.execute(
            "UPDATE invocation SET state='leased', attempts=? WHERE id=? AND function=? AND ended IS NULL",
            (settled.attempt.number, *key),
        )
        return
    kind = reason = log = None
    response = content_type = None
    match settled.outcome:
        case Succeeded() as succeeded:
            response, content_type = succeeded.response, succeeded.content_type
        case Failed() as failed:
            kind, reason, log = failed.kind, failed.reason, failed.log
            response = failed.error or None
        case None:
            pass
    db.execute(
        "UPDATE invocation SET state=?, due=?, ended=?, kind=?, reason=?, log=?, response=?, content_type=?, "
        "attempts=max(attempts, ?), phases=json_insert(coalesce(phases, '[]'), '$[#]', json(?)) "
        "WHERE id=? AND function=? AND ended IS NULL",
        (
            settled.state, settled.due, settled.at if settled.state in ("answered", "dead") else None, kind, reason, log,
            response, content_type, settled.attempt.number, msgspec.json.encode(settled.attempt).decode(), *key,
        ),
    )  # fmt: skip


def as_invocation(row: sqlite3.Row) -> Invocation:
    return Invocation(
        row["id"], row["function"], row["event"], row["created"], row["cause"], row["attempts"], row["due"]
    )


def as_summary(row: sqlite3.Row) -> dict[str, Any]:
    """What a list of invocations shows."""
    return {
        "id": row["id"], "function": row["function"], "state": row["state"], "cause": row["cause"],
        "created_at": row["created"], "ended_at": row["ended"], "attempts": row["attempts"], "kind": row["kind"] or "",
        "reason": row["reason"] or "", "phases": msgspec.json.decode(row["phases"] or "[]"),
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
