"""A journal that a worn card has damaged: set aside, read as far as it reads, and said loudly.

Nothing is ever deleted: the damaged file stays beside the new one for whoever wants to look.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from pathlib import Path

from edge_agent.adapters.journal_sqlite import schema

log = logging.getLogger(__name__)

TABLES = ("batch", "rejected", "invocation", "alert", "rule_state", "watermark", "device", "silence", "usage", "cron")


def looks_sound(path: Path) -> bool:
    """Whether SQLite can open the file and finds its structure whole."""
    if not path.exists():
        return True
    try:
        with contextlib.closing(schema.connect(str(path))) as db:
            return bool(db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return False


def set_aside(path: Path, stamp: str) -> Path:
    """Rename the file and its WAL; returns the new name."""
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def copy_readable(damaged: Path, fresh: sqlite3.Connection) -> dict[str, int]:
    """Copy every row that still reads into the fresh journal; how many by table."""
    copied = dict.fromkeys(TABLES, 0)
    try:
        old = sqlite3.connect(str(damaged), isolation_level=None)
    except sqlite3.Error:
        return copied
    with contextlib.closing(old):
        for table in TABLES:
            copied[table] = _copy_table(old, fresh, table)
    return copied


def _copy_table(old: sqlite3.Connection, fresh: sqlite3.Connection, table: str) -> int:
    """From both ends, because a damaged page in the middle stops a scan that starts before it."""
    width = len(fresh.execute(f"SELECT * FROM {table} LIMIT 0").description)  # noqa: S608 - our own table names
    insert = f"INSERT OR IGNORE INTO {table} VALUES ({','.join('?' * width)})"  # noqa: S608
    before = fresh.total_changes
    fresh.execute("BEGIN IMMEDIATE")
    for order in ("", " ORDER BY 1 DESC"):
        try:
            for row in old.execute(f"SELECT * FROM {table}{order}"):  # noqa: S608
                with contextlib.suppress(sqlite3.Error):
                    fresh.execute(insert, row)
        except sqlite3.DatabaseError as error:
            log.warning("reading %s of the damaged journal stopped: %s", table, error)
        else:
            break
    fresh.execute("COMMIT")
    return fresh.total_changes - before
