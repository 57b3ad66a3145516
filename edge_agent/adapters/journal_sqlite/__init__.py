"""The journal on SQLite: the one place where nothing is lost. The only package that opens `journal.db`.

Enters: `Entries` (see `ports.Journal`). Leaves: `then` after the fsync; rows for whoever asks.
Guarantee: what was acknowledged survives kill -9 and a power cut (WAL, synchronous FULL, one writer, group commit).
Not chosen: a row for each reading (a batch in one row costs a page or two, not dozens), an append-only file of our own
(measured: gains nothing), a second process (a copy of every message through a socket).
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edge_agent.adapters.journal_sqlite import rows, salvage, schema
from edge_agent.adapters.journal_sqlite.reads import Reads
from edge_agent.adapters.journal_sqlite.writer import DiskTrouble, Op, Then, Waiting, Writer
from edge_agent.domain.rules.spec import RuleState
from edge_agent.ports import Clock, Entries

__all__ = ["SqliteJournal"]

log = logging.getLogger(__name__)


class SqliteJournal(Reads):
    """`ports.Journal` in `folder/journal.db`.

    `on_alarm(name, summary)` is told of `disk` (the writer cannot write; "" when it can again) and `journal-damaged`.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        linger: float = 1.0,
        batch: int = 1000,
        on_alarm: Callable[[str, str], None] = lambda name, summary: None,
    ) -> None:
        self.path = folder / "journal.db"
        self._clock = clock
        self._on_alarm = on_alarm
        self._db = self._open()
        self._fill_wal()
        super().__init__(str(self.path))
        self.writer = Writer(
            self._write_group, linger=linger, batch=batch, on_trouble=lambda why: on_alarm("disk", why)
        )
        self.writer.start(self._last_number())

    # -- opening, and what to do when the file is damaged

    def _open(self) -> sqlite3.Connection:
        if not salvage.looks_sound(self.path):
            return self._start_anew("it does not pass SQLite's check")
        db = schema.connect(str(self.path))
        schema.migrate(db)
        return db

    def _start_anew(self, why: str) -> sqlite3.Connection:
        aside = salvage.set_aside(self.path, time.strftime("%Y%m%d-%H%M%S", time.gmtime(self._clock() / 1000)))
        db = schema.connect(str(self.path))
        schema.migrate(db)
        copied = salvage.copy_readable(aside, db)
        summary = (
            f"the journal was damaged ({why}) and set aside as {aside.name}; {copied['batch']} batches of readings and "
            f"{copied['invocation']} invocations could be read from it. The card may be worn: replace it soon"
        )
        log.error(summary)
        self._on_alarm("journal-damaged", summary)
        return db

    def _fill_wal(self) -> None:
        try:
            schema.fill_wal(str(self.path))
        except OSError as error:
            log.warning("the journal's log could not be given its size, which costs writes: %s", error)

    def _last_number(self) -> int:
        found = self._db.execute(
            "SELECT max(coalesce((SELECT max(id) FROM batch), 0), coalesce((SELECT max(upto) FROM rule_state), 0))"
        ).fetchone()[0]
        return int(found)

    # -- writing

    def commit(self, entries: Entries, *, urgent: bool = True, then: Then | None = None, op: Op | None = None) -> int:
        """See `ports.Journal.commit`; returns the number of this commit. `op` is one more change in the same transaction."""
        return self.writer.put(entries, urgent, then, op)

    def flush(self, timeout: float = 30.0) -> bool:
        """Wait until everything put so far is on disk."""
        done = threading.Event()
        self.commit(Entries(), then=done.set)
        return done.wait(timeout)

    def _write_group(self, group: list[Waiting]) -> None:
        db = self._db
        now = self._clock()
        try:
            if all(not waiting.entries and waiting.op is None for waiting in group):
                return
            db.execute("BEGIN IMMEDIATE")
            for waiting in group:
                rows.write(db, waiting.number, waiting.entries, now)
                if waiting.op is not None:
                    waiting.op(db)
            db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._roll_back()
            if "malformed" in str(error):
                self._replace_damaged(str(error))
            raise DiskTrouble(str(error)) from error
        except sqlite3.DatabaseError as error:
            self._replace_damaged(str(error))
            raise DiskTrouble(str(error)) from error

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _replace_damaged(self, why: str) -> None:
        self._db.close()
        self._db = self._start_anew(why)
        self.reconnect()

    def close(self) -> None:
        self.writer.close()
        super().close()
        self._db.close()

    # -- what is waiting for the history

    def drained(
        self, upto: int, marks: Sequence[tuple[str, str, bytes]], states: Sequence[RuleState], then: Then | None = None
    ) -> None:
        """The history has every commit up to `upto`: let them go, and keep what was known from them."""

        def op(db: sqlite3.Connection) -> None:
            db.executemany("INSERT OR REPLACE INTO watermark VALUES (?,?,?)", marks)
            db.execute("DELETE FROM batch WHERE id <= ?", (upto,))

        self.commit(Entries(states=list(states)), urgent=False, then=then, op=op)

    def let_go(self, count: int) -> int:
        """Retention: remove the oldest `count` commits that the history never got; how many samples that is."""
        found = self._all(
            "SELECT max(id) AS upto, coalesce(sum(n), 0) AS n FROM (SELECT id, n FROM batch ORDER BY id LIMIT ?)",
            (count,),
        )[0]
        if found["upto"] is not None:
            self.commit(Entries(), op=lambda db: _run(db, "DELETE FROM batch WHERE id <= ?", (found["upto"],)))
        return int(found["n"])

    def trim(self, before: int, ended_kept: int = 5000) -> None:
        """Remove ended invocations and alerts older than `before` (epoch ms), and the oldest beyond `ended_kept`."""

        def op(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM invocation WHERE ended < ?", (before,))
            db.execute(
                "DELETE FROM invocation WHERE state='answered' AND rowid <= "
                "(SELECT rowid FROM invocation WHERE state='answered' ORDER BY rowid DESC LIMIT 1 OFFSET ?)",
                (ended_kept,),
            )
            db.execute("DELETE FROM alert WHERE state='resolved' AND since < ?", (before,))

        self.commit(Entries(), urgent=False, op=op)

    # -- invocations

    def redrive(self, id: str, function: str, now: int, then: Then | None = None) -> None:
        """Make a dead letter pending again, as young as a new one, its attempts counted anew: the first is leased."""
        self.commit(
            Entries(),
            then=then,
            op=lambda db: _run(
                db,
                "UPDATE invocation SET state='leased', ended=NULL, attempts=1, due=0, created=? "
                "WHERE id=? AND function=? AND state='dead'",
                (now, id, function),
            ),
        )

    def purge(self, function: str, before: int, then: Then | None = None) -> int:
        """Remove dead letters of `function` ("" = all) that died before `before`; how many. Without `then` only count."""
        where = "state='dead' AND ended < ? AND (?='' OR function=?)"
        values = (before, function, function)
        count = self._all(f"SELECT count(*) AS n FROM invocation WHERE {where}", values)[0]["n"]  # noqa: S608
        if then is not None:
            self.commit(Entries(), then=then, op=lambda db: _run(db, f"DELETE FROM invocation WHERE {where}", values))  # noqa: S608
        return int(count)

    # -- alerts, devices

    def told(self, id: str, state: str) -> None:
        """The LAN knows; written with the next commit, for telling twice does no harm."""
        self.commit(
            Entries(),
            urgent=False,
            op=lambda db: _run(db, "UPDATE alert SET told=1 WHERE id=? AND state=?", (id, state)),
        )

    def label_device(self, name: str, label: str, then: Then | None = None) -> None:
        sql = "INSERT INTO device (name, label) VALUES (?,?) ON CONFLICT (name) DO UPDATE SET label=excluded.label"
        self.commit(Entries(), then=then, op=lambda db: _run(db, sql, (name, label)))

    def forget_device(self, name: str, then: Then | None = None) -> None:
        def op(db: sqlite3.Connection) -> None:
            for table, column in (("device", "name"), ("watermark", "device"), ("rule_state", "device")):
                db.execute(f"DELETE FROM {table} WHERE {column}=?", (name,))  # noqa: S608 - our own names

        self.commit(Entries(), then=then, op=op)

    def silence(self, rule: str, device: str, until: int, by: str, then: Then | None = None) -> None:
        sql = "INSERT OR REPLACE INTO silence VALUES (?,?,?,?)"
        self.commit(Entries(), then=then, op=lambda db: _run(db, sql, (rule, device, until, by)))

    def ack_alert(self, id: str, by: str, at: int, then: Then | None = None) -> None:
        """Somebody has seen it; the first one is remembered."""
        sql = "UPDATE alert SET acked_by=?, acked_at=? WHERE id=? AND acked_by=''"
        self.commit(Entries(), then=then, op=lambda db: _run(db, sql, (by, at, id)))


def _run(db: sqlite3.Connection, sql: str, values: Sequence[Any]) -> None:
    db.execute(sql, values)
