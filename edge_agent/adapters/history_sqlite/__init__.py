"""The history on SQLite: every reading for as long as it is kept, then its hour's average, in `history.db`. The only
package that opens it.

Enters: samples in bulk, from the journal. Leaves: points, steps and samples, for plots and replays.
Guarantee: what `store` returned from survives kill -9 and a power cut; a sample stored again changes nothing, given that a
sample never changes: (device, boot, seq) always comes with the same t, as the journal keeps it. A file that a worn card
damaged is set aside, said loudly, and what still reads is copied into the new one.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edge_agent.adapters.history_sqlite import hours, salvage, schema
from edge_agent.adapters.history_sqlite.samples import EVER, SampleTables
from edge_agent.adapters.history_sqlite.schema import COLUMNS
from edge_agent.domain.reading import Sample, Value
from edge_agent.errors import EdgeError, Unavailable
from edge_agent.ports import Clock, Step

__all__ = ["SqliteHistory"]

log = logging.getLogger(__name__)
T = TypeVar("T")

PAGE = 4000
"""Samples read at a time, so that a slow consumer holds nothing."""

_BOTH = """SELECT {0} FROM sample WHERE device=:device AND t>=:since AND t<:until {1}
UNION ALL SELECT {0} FROM fresh WHERE device=:device AND t>=:since AND t<:until {1}"""
_HAS = "AND json_type(vals, :path) IS NOT NULL"
_RAW = _BOTH.format("t, boot, seq, vals", _HAS) + " ORDER BY t DESC, boot DESC, seq DESC LIMIT :limit"
_STEPS = f"""SELECT step, total(total) / sum(n), min(low), max(high), sum(n) FROM (
SELECT t - t % :step AS step, value AS total, value AS low, value AS high, 1 AS n
FROM ({_BOTH.format("t, json_extract(vals, :path) AS value", "")}) WHERE typeof(value) IN ('integer', 'real')
UNION ALL SELECT t * {hours.HOUR} - t * {hours.HOUR} % :step, total, low, high, n FROM hour
WHERE device=:device AND reading=:reading AND t >= :first AND t < :last) GROUP BY step ORDER BY step"""  # noqa: S608 - our own text
_SAMPLES = _BOTH.format(COLUMNS, "AND (t, boot, seq) > (:t, :boot, :seq)") + " ORDER BY t, boot, seq LIMIT :limit"


class SqliteHistory:
    """`ports.History` in `folder/history.db`; any thread may call, writers wait for each other, readers for nobody.

    `keep_hourly` is how long the averages stay that `trim` makes, seconds. `merge_at` is how many samples wait unsorted
    (see `samples`). `on_alarm(name, summary)` is told of `history-damaged`.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        keep_hourly: float = 5 * 365 * 86_400,
        merge_at: int = 20_000,
        on_alarm: Callable[[str, str], None] = lambda name, summary: None,
    ) -> None:
        self.path = folder / "history.db"
        self._clock = clock
        self._keep_hourly = int(keep_hourly * 1000)
        self._merge_at = merge_at
        self._on_alarm = on_alarm
        self._writing = threading.RLock()
        self._idle_readers: list[tuple[sqlite3.Connection | None, sqlite3.Connection]] = []
        self._closing = threading.Event()
        self._db: sqlite3.Connection | None = None
        self._aside = ""
        self._guarded(lambda: None)

    # -- opening, and what to do when the file is damaged

    def _open(self) -> None:
        db = schema.connect(self.path)
        schema.ensure_tables(db)
        if self._aside:
            db.execute("INSERT OR REPLACE INTO note VALUES ('salvaging', ?)", (self._aside,))
            self._aside = ""
        self._tables = SampleTables(db, self._merge_at)
        self._db = db
        self._salvaging: threading.Thread | None = None
        if aside := self._tables.note("salvaging"):
            self._salvaging = threading.Thread(target=self._salvage, args=(aside,), name="history-salvage", daemon=True)
            self._salvaging.start()

    def _replace(self, error: Exception) -> None:
        """Begin a new file, and have what still reads in the damaged one copied meanwhile."""
        self._let_go_of_file()
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(self._clock() / 1000))
        self._aside = salvage.set_aside(self.path, stamp).name
        summary = (
            f"the history was damaged ({error}) and set aside as {self._aside}; what still reads in it is being copied. "
            "The card may be worn: replace it soon"
        )
        log.error(summary)
        self._on_alarm("history-damaged", summary)

    def _salvage(self, aside: str) -> None:
        saved = 0
        try:
            for averages in salvage.averages(self.path.with_name(aside)):
                if self._closing.is_set():
                    return
                self._one_at_a_time(lambda averages=averages: self._tables.put_back(averages))  # type: ignore[misc]
            for samples in salvage.readable(self.path.with_name(aside)):
                if self._closing.is_set():
                    return
                self.store(samples)
                saved += len(samples)
            self._one_at_a_time(lambda: self._tables.drop_note("salvaging", aside))
        except EdgeError as error:
            log.warning(
                "copying from %s stopped after %d samples and goes on at the next start: %s", aside, saved, error
            )
        else:
            log.warning("%d samples could be read from the damaged history %s", saved, aside)

    def _let_go_of_file(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        self._close_readers()

    def _close_readers(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._idle_readers.pop()[1].close()

    def _guarded(self, work: Callable[[], T]) -> T:
        """Do `work` on an open file; if that turns out to be damaged, on a new one. Errors: `Unavailable`, `Refused`."""
        for _ in range(4):  # damaged when opened, opened anew, damaged when used, opened anew
            if self._closing.is_set():
                raise Unavailable("the history is closed")
            db = self._db
            try:
                if db is None:
                    with self._writing:
                        if self._db is None:
                            self._open()
                        continue
                return work()
            except (sqlite3.Error, msgspec.MsgspecError, KeyError) as error:
                with self._writing:
                    if db is not self._db:
                        continue  # somebody else has replaced the file meanwhile
                    if not _is_damage(error):
                        raise _plain(error) from error
                    self._replace(error)
        raise Unavailable("the history was just replaced by a new file")

    def close(self) -> None:
        """Wait for whoever writes, then let go of the file."""
        self._closing.set()
        if self._salvaging is not None:
            self._salvaging.join()
        with self._writing:
            self._let_go_of_file()

    # -- writing

    def store(self, samples: Sequence[Sample]) -> None:
        """See `ports.History.store`. Each call writes at least two or three pages, whatever it brings: bring many."""
        with self._writing:
            self._guarded(lambda: self._tables.store(samples))

    def forget(self, device: str) -> int:
        number = self._tables.devices.get(device)
        return self._remove(EVER, [number], number) if number else 0

    def trim(self, older_than: int) -> int:
        """See `ports.History.trim`: whole hours only, whose averages stay. Nothing while a damaged file is copied.

        It changes a page or two for every device: once a day is often enough. A sample stored again after its own removal
        counts as another one; the journal repeats what it stored minutes ago.
        """
        if self._one_at_a_time(lambda: self._tables.note("salvaging")):
            return 0  # what was copied would be averaged, and averaged again if it were copied again
        removed = self._remove(hours.whole_hours(older_than), list(self._tables.devices.values()))
        self._one_at_a_time(lambda: self._tables.remove_hours(self._clock() - self._keep_hourly))
        return removed

    def _remove(self, before: int, devices: list[int], only: int | None = None) -> int:
        """In pieces, letting others write between them."""
        removed = 0
        for device in devices:
            while gone := self._one_at_a_time(lambda device=device: self._tables.remove_piece(device, before)):  # type: ignore[misc]
                removed += gone
                self._closing.wait(0.001)
        return removed + self._one_at_a_time(lambda: self._tables.remove_rest(before, only))

    def _one_at_a_time(self, work: Callable[[], T]) -> T:
        with self._writing:
            return self._guarded(work)

    # -- reading

    def _all(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """Rows, through a connection that nobody else uses meanwhile; one to a replaced file is not used again."""
        file = self._db
        try:
            of, reader = self._idle_readers.pop()
        except IndexError:
            of, reader = file, schema.connect(self.path, read_only=True)
        if of is not file:
            reader.close()
            return self._all(sql, **values)
        try:
            return reader.execute(sql, values).fetchall()
        finally:
            self._idle_readers.append((of, reader))
            if self._closing.is_set():
                self._close_readers()

    def _number(self, device: str, reading: str) -> tuple[int, int]:
        return self._tables.devices.get(device, 0), self._tables.readings.get(reading, 0)

    def raw(self, device: str, reading: str, since: int, until: int, limit: int = 10_000) -> list[tuple[int, Value]]:
        def work() -> list[tuple[int, Value]]:
            number, key = self._number(device, reading)
            values = {"device": number, "path": _path(key), "since": since, "until": until, "limit": limit}
            found = self._all(_RAW, **values)
            return [(t, schema.values_of(vals)[str(key)]) for t, _, _, vals in reversed(found)]

        return self._guarded(work)

    def steps(self, device: str, reading: str, since: int, until: int, step: int) -> list[Step]:
        """See `ports.History.steps`; where samples are gone, an hour counts as a whole, at its beginning."""

        def work() -> list[Step]:
            number, key = self._number(device, reading)
            values = {"device": number, "path": _path(key), "since": since, "until": until, "step": step}
            values |= {"reading": key, "first": -(-since // hours.HOUR), "last": -(-until // hours.HOUR)}
            return [Step(t, mean, float(low), float(high), n) for t, mean, low, high, n in self._all(_STEPS, **values)]

        return self._guarded(work)

    def samples(self, device: str, since: int, until: int, limit: int = 100_000) -> Iterator[Sample]:
        """See `ports.History.samples`: the oldest `limit` of them, so that one can go on from the last."""
        after: tuple[int, bytes | str, int] = (since, "", -1)  # in SQL's order nothing is before it

        def page() -> list[tuple[Any, ...]]:
            t, boot, seq = after
            values = {"device": self._tables.devices.get(device, 0), "since": since, "until": until}
            return self._all(_SAMPLES, t=t, boot=boot, seq=seq, limit=min(PAGE, limit), **values)

        while limit > 0 and (rows := self._guarded(page)):
            yield from (schema.sample_of(row, device, self._tables.names) for row in rows)
            limit -= len(rows)
            after = rows[-1][1:4]

    def latest(self) -> dict[str, dict[str, tuple[int, Value]]]:
        return self._tables.latest()

    def count(self) -> int:
        return self._tables.count


def _path(reading: int) -> str:
    return f'$."{reading}"'


def _is_damage(error: Exception) -> bool:
    """Whether the file is not what was written to it."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "malformed JSON" in str(error)
    return True


def _plain(error: Exception) -> EdgeError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    hint = {
        sqlite3.SQLITE_FULL: "the disk is full: make room, or keep readings for a shorter time",
        sqlite3.SQLITE_IOERR: "the disk fails: the card may be worn, replace it soon",
        sqlite3.SQLITE_READONLY: "the file or its disk is read-only",
        sqlite3.SQLITE_CANTOPEN: "the file cannot be opened: check the data folder",
        sqlite3.SQLITE_BUSY: "another process holds it: is a second agent running?",
    }.get(code, str(error))
    return Unavailable(f"the history cannot be used: {hint} ({error})")
