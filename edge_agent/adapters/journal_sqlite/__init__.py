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

from edge_agent.adapters.journal_sqlite import deadletters, events, rows, salvage, schema
from edge_agent.adapters.journal_sqlite.checkpoints import Checkpoints
from edge_agent.adapters.journal_sqlite.reads import Reads
from edge_agent.adapters.journal_sqlite.writer import DiskTrouble, Op, Then, Waiting, Writer
from edge_agent.domain.deadletters import Selection
from edge_agent.domain.rules.spec import RuleState
from edge_agent.domain.usage import Usage
from edge_agent.ports import Clock, Entries, Pending

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
        self.dead_let_go = 0
        """Dead letters removed since the start for their age, or because there were too many."""
        self._dead_seen: tuple[int, int | None] = (0, None)
        self._db = self._open()
        self._fill_wal()
        self._checkpoints = Checkpoints(str(self.path), self._db)
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
        self._next_place = schema.number_places(db)
        return db

    def _start_anew(self, why: str) -> sqlite3.Connection:
        aside = salvage.set_aside(self.path, time.strftime("%Y%m%d-%H%M%S", time.gmtime(self._clock() / 1000)))
        db = schema.connect(str(self.path))
        schema.migrate(db)
        copied = salvage.copy_readable(aside, db)
        self._next_place = schema.number_places(db)
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
            told = events.Events(db, self._next_place)
            for waiting in group:
                rows.write(db, waiting.number, waiting.entries, now)
                told.add(waiting.entries)
                if waiting.op is not None:
                    told.flush()
                    waiting.op(db)
            told.flush()
            db.execute("COMMIT")
            self._checkpoints.look()
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
        self._checkpoints.close()
        self._db.close()
        self._db = self._start_anew(why)
        self._checkpoints = Checkpoints(str(self.path), self._db)
        self.reconnect()

    def close(self) -> None:
        self.writer.close()
        self._checkpoints.close()
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

        gone: list[int] = []

        def op(db: sqlite3.Connection) -> None:
            dead = db.execute("DELETE FROM invocation WHERE ended < ? AND state='dead'", (before,))
            gone[:] = [dead.rowcount]
            db.execute("DELETE FROM invocation WHERE ended < ?", (before,))
            db.execute("DELETE FROM usage WHERE hour < ?", (before,))
            db.execute(
                "DELETE FROM invocation WHERE state='answered' AND rowid <= "
                "(SELECT rowid FROM invocation WHERE state='answered' ORDER BY rowid DESC LIMIT 1 OFFSET ?)",
                (ended_kept,),
            )
            db.execute("DELETE FROM alert WHERE state='resolved' AND since < ?", (before,))

        self.commit(Entries(), urgent=False, op=op, then=lambda: self._let_go(gone))

    # -- invocations

    def fetch(
        self, function: str, then: Callable[[list[Pending]], None], *, after: int, limit: int, most_bytes: int
    ) -> None:
        """See `ports.Journal.fetch`."""
        found: list[Pending] = []

        def op(db: sqlite3.Connection) -> None:
            found[:] = rows.pending(db, function, after=after, limit=limit, most_bytes=most_bytes)

        self.commit(Entries(), then=lambda: then(found), op=op)

    def redrive(self, id: str, function: str, now: int, then: Then | None = None) -> None:
        """Make a dead letter pending again, as young as a new one and in its place, its attempts counted anew: the first is
        leased."""
        self.commit(
            Entries(),
            then=then,
            op=lambda db: _run(
                db,
                "UPDATE invocation SET rowid=next_place(), state='leased', ended=NULL, attempts=1, due=0, created=? "
                "WHERE id=? AND function=? AND state='dead'",
                (now, id, function),
            ),
        )

    def purge(self, selection: Selection, then: Then | None = None) -> None:
        """Remove the dead letters that are meant; for ever."""
        where, values = deadletters.where(selection)
        self.commit(Entries(), then=then, op=lambda db: _run(db, f"DELETE FROM invocation WHERE {where}", values))  # noqa: S608

    def bound_dead_letters(self) -> None:
        """Let the oldest go beyond what is kept of them (`deadletters`): counted in `dead_let_go`."""
        newest = self._all("SELECT count(*) AS n, max(ended) AS ended FROM invocation WHERE state='dead'")[0]
        state = (newest["n"], newest["ended"])
        if state != self._dead_seen:
            self._dead_seen = state
            gone: list[int] = []

            def op(db: sqlite3.Connection) -> None:
                gone[:] = [deadletters.bound(db)]

            self.commit(Entries(), urgent=False, op=op, then=lambda: self._let_go(gone))

    def _let_go(self, gone: list[int]) -> None:
        if count := sum(gone):
            self.dead_let_go += count
            log.warning("%d dead letters were let go; %d since the agent started", count, self.dead_let_go)

    # -- what functions used

    def keep_usage(self, found: Sequence[tuple[str, int, Usage]], then: Then | None = None) -> None:
        """Write (function, hour, usage) over what is kept of those hours; shares a commit with others."""
        packed = [(function, hour, rows.pack(usage)) for function, hour, usage in found]
        sql = "INSERT OR REPLACE INTO usage VALUES (?,?,?)"
        self.commit(Entries(), urgent=False, then=then, op=lambda db: _run_many(db, sql, packed))

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


def _run_many(db: sqlite3.Connection, sql: str, values: Sequence[Sequence[Any]]) -> None:
    db.executemany(sql, values)
