"""The journal's tables, and how an older file becomes a current one.

SD cards die of writes, so a commit must touch few pages: the samples of one intake batch are one row, appended at the
end; watermarks and rule memory are not written with every reading but follow from the rows after their `upto`.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE batch (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, n INTEGER NOT NULL, body BLOB NOT NULL);
    CREATE TABLE rejected (id INTEGER PRIMARY KEY, received INTEGER NOT NULL, body BLOB NOT NULL);
    CREATE TABLE invocation (
        id TEXT NOT NULL, function TEXT NOT NULL, cause TEXT NOT NULL, created INTEGER NOT NULL, state TEXT NOT NULL,
        attempts INTEGER NOT NULL, due INTEGER NOT NULL, ended INTEGER, kind TEXT, reason TEXT, log TEXT,
        phases TEXT, event BLOB NOT NULL, response BLOB, content_type TEXT, UNIQUE (id, function));
    CREATE TABLE alert (
        id TEXT PRIMARY KEY, since INTEGER NOT NULL, state TEXT NOT NULL, late INTEGER NOT NULL,
        told INTEGER NOT NULL, acked_by TEXT NOT NULL DEFAULT '', acked_at INTEGER, body BLOB NOT NULL,
        over BLOB) WITHOUT ROWID;
    CREATE TABLE rule_state (
        rule TEXT, device TEXT, upto INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (rule, device)) WITHOUT ROWID;
    CREATE TABLE watermark (
        device TEXT, boot TEXT, body BLOB NOT NULL, PRIMARY KEY (device, boot)) WITHOUT ROWID;
    CREATE TABLE device (name TEXT PRIMARY KEY, label TEXT NOT NULL DEFAULT '', about BLOB) WITHOUT ROWID;
    CREATE TABLE silence (
        rule TEXT, device TEXT, until INTEGER NOT NULL, by TEXT NOT NULL, PRIMARY KEY (rule, device)) WITHOUT ROWID;
    """,
    """
    CREATE INDEX dead_letter ON invocation (ended) WHERE state='dead';
    CREATE INDEX unfinished ON invocation (function) WHERE ended IS NULL;
    CREATE TABLE usage (function TEXT, hour INTEGER, body BLOB NOT NULL, PRIMARY KEY (function, hour)) WITHOUT ROWID;
    """,
    """
    CREATE TABLE cron (
        function TEXT, schedule TEXT, at INTEGER NOT NULL, PRIMARY KEY (function, schedule)) WITHOUT ROWID;
    """,
)
"""Each is applied once, in order; `PRAGMA user_version` says how many have been. Never edit one that was released."""


WAL_BYTES = 5_400_000
"""The thousand pages after which the log is copied (`checkpoints`), and those that come while it is."""


def connect(path: str, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit; the writer's fsyncs every commit (WAL, synchronous FULL)."""
    uri = f"file:{path}?mode=ro" if read_only else f"file:{path}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=10)
    if read_only:
        db.execute("PRAGMA query_only=1")
    else:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA secure_delete=0")  # else, in Debian's SQLite, what goes to the history is overwritten first
        db.execute("PRAGMA wal_autocheckpoint=1000")
        db.execute("PRAGMA journal_size_limit=8388608")
    db.execute("PRAGMA cache_size=-512")
    return db


def migrate(db: sqlite3.Connection) -> None:
    """Bring the file to the newest shape, one transaction for each step."""
    done = db.execute("PRAGMA user_version").fetchone()[0]
    if done > len(MIGRATIONS):
        raise ValueError(
            f"the journal was written by a newer version (schema {done}, this one knows {len(MIGRATIONS)})"
        )
    for number, script in enumerate(MIGRATIONS[done:], start=done + 1):
        db.executescript(f"BEGIN IMMEDIATE;{script};PRAGMA user_version={number};COMMIT;")


def number_places(db: sqlite3.Connection) -> Callable[[], int]:
    """What gives the rowid of the next invocation, in SQL `next_place()`: it grows for as long as `db` is open, whatever
    is removed meanwhile (SQLite itself gives a number again when the last row goes)."""
    last = db.execute("SELECT coalesce(max(rowid), 0) FROM invocation").fetchone()[0]
    next_place = itertools.count(last + 1).__next__
    db.create_function("next_place", 0, next_place)
    return next_place


def fill_wal(path: str) -> None:
    """Give the write-ahead log its full size once, in zeros, which SQLite reads as its end.

    A log that grows makes the file system record its new size with every commit: 29 KB to the device for each, 9 KB without
    (ext4, `make bench`: bytes written). Left alone where the disk is nearly full.
    """
    log = Path(f"{path}-wal")
    missing = WAL_BYTES - (log.stat().st_size if log.exists() else 0)
    if missing > 0 and shutil.disk_usage(log.parent).free > 16 * WAL_BYTES:
        with log.open("ab") as file:
            file.write(bytes(missing))
            file.flush()
            os.fsync(file.fileno())
