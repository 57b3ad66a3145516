"""Checkpoints beside the writer: what the log holds is copied into the database by a thread of its own.

Enters: a look at the log after each commit. Leaves: a log that begins anew when all of it has been copied.
Guarantee: none of safety, which is SQLite's own (a checkpoint may be cut off at any point); the log stays bounded, for a
log that reached `MOST` pages is copied by the writer itself, as SQLite would.
Why: a checkpoint copies a thousand pages and syncs the database. On the writer's thread, which is what SQLite does by
itself, every commit that came meanwhile waited for it: in a flood one in seventy, and with it whoever had one event.
Here the writer copies only the last few pages, those that came while the rest was copied: only when all is copied, and
nobody writes in between, can the log begin anew.
"""

from __future__ import annotations

import logging
import mmap
import os
import sqlite3
import struct
import threading

from edge_agent.adapters.journal_sqlite import schema

log = logging.getLogger(__name__)

BEGIN = 1000
"""Pages in the log at which it is copied, SQLite's own default: fewer would write the same page to the card more often."""
REST = 100
"""Pages not copied yet that the writer copies itself: as long as a commit or two."""
MOST = 8 * BEGIN
"""Pages in the log at which the writer does not wait for the other thread any more."""

_FRAMES_AT, _COPIED_AT = 16, 96
"""In the log's index (https://www.sqlite.org/walformat.html, 2.1): mxFrame of the first header, and nBackfill."""


class Checkpoints:
    """`look` is the writer's, after a commit; the rest happens on the thread. One for each open database."""

    def __init__(self, path: str, writer: sqlite3.Connection) -> None:
        """`writer` has read or written; from now on it does not checkpoint by itself."""
        writer.execute("PRAGMA wal_autocheckpoint=0")
        self._path = path
        self._writer = writer
        self._index = _map(f"{path}-shm")
        self._wanted = threading.Event()
        self._idle = True
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def look(self) -> None:
        """Have the log copied when it is long enough."""
        frames, copied = self._state()
        if frames < BEGIN or copied >= frames:
            return
        if frames >= MOST or (self._idle and copied > 0 and frames - copied <= REST):
            _copy(self._writer)
        elif self._idle:
            self._idle = False
            self._wanted.set()

    def close(self) -> None:
        """End the thread, after what it is copying."""
        self._closing = True
        self._wanted.set()
        self._thread.join()
        self._index.close()

    def _state(self) -> tuple[int, int]:
        """(pages in the log, how many of them have been copied)."""
        (frames,) = struct.unpack_from("=I", self._index, _FRAMES_AT)
        (copied,) = struct.unpack_from("=I", self._index, _COPIED_AT)
        return frames, copied

    def _run(self) -> None:
        db = schema.connect(self._path)
        try:
            while True:
                self._wanted.wait()
                if self._closing:
                    return
                self._wanted.clear()
                _copy(db)
                self._idle = True
        finally:
            db.close()


def _copy(db: sqlite3.Connection) -> None:
    """As much as nobody else needs (PASSIVE waits for nobody). What the disk refuses is tried again after a later commit,
    which tells of the trouble if it lasts."""
    try:
        db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    except sqlite3.Error as error:
        log.debug("the journal's log could not be copied now: %s", error)


def _map(path: str) -> mmap.mmap:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ)
    finally:
        os.close(fd)
