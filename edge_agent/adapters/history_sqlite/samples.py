"""The sample tables as their one writer sees them: what is in them already, and what a write changes.

SD cards die of writes. A sample put straight into its place in the sorted table costs a page (4 KiB, twice with the WAL)
for every device in the batch; so samples are appended to `fresh` and go, `merge_at` at a time, into `sample`.
Per reading, measured on a 2-core VM with samples of 3 readings (`write_bytes` of /proc/self/io):

    samples per call / devices      merge_at 1         5,000             20,000
    10,000 / 100                    83 B, 2.0 us       83 B, 2.3 us      90 B, 1.9 us
    1,000 / 100                     407 B, 2.5 us      217 B, 2.1 us     105 B, 2.1 us
    300 / 100                       934 B, 4.4 us      220 B, 2.1 us     94 B, 2.3 us
    300 / 300                       1,684 B, 7.0 us    300 B, 3.1 us     92 B, 2.2 us
    50 / 10                         827 B, 4.1 us      194 B, 3.3 us     181 B, 3.7 us

Not chosen: a row for each reading (twice the bytes and CPU of a row for each sample), chunks of many samples packed and
compressed (half the file, but what arrives late and what is looked for inside needs code of our own), a unique index on
(boot, seq) (a random page for every sample: memory knows what is fresh, the key tells what is older).
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from edge_agent.adapters.history_sqlite import hours, schema
from edge_agent.adapters.history_sqlite.schema import COLUMNS, Key, Row
from edge_agent.domain.reading import Sample, Value

PIECE = 1000
"""Rows removed in one transaction, so that a batch from the journal never waits long."""

EVER = 2**63 - 1


class SampleTables:
    """One writer's view of an open file; the caller lets in one thread at a time. Errors of every call: sqlite3.Error."""

    def __init__(self, db: sqlite3.Connection, merge_at: int) -> None:
        self._db = db
        self._merge_at = merge_at
        self._stale = False
        self._remember()

    def _remember(self) -> None:
        """Take into memory what makes storing cheap and reading possible."""
        db = self._db
        self.devices: dict[str, int] = dict(db.execute("SELECT name, id FROM device"))
        self.readings: dict[str, int] = dict(db.execute("SELECT name, id FROM reading"))
        self.names = {str(number): name for name, number in self.readings.items()}
        self.count: int = self.note("merged") or 0
        self._merged_upto: dict[int, int] = {}
        self._fresh: set[Key] = set()
        for device in self.devices.values():
            self._note_merged(device)
        latest: dict[int, dict[str, tuple[int, Value]]] = {}
        for device, reading, t, value in db.execute("SELECT device, reading, t, value FROM latest"):
            latest.setdefault(device, {})[self.names[str(reading)]] = (t, schema.value_of(value))
        for row in db.execute(f"SELECT {COLUMNS} FROM fresh"):  # noqa: S608
            self._fresh.add((row[0], row[2], row[3]))
            self.count += row[7]
            _saw(latest.setdefault(row[0], {}), schema.sample_of(row, "", self.names))
        self._latest = latest
        self._stale = False

    def note(self, name: str) -> Any:
        """A remark kept in the file, or None."""
        found = self._db.execute("SELECT value FROM note WHERE name=?", (name,)).fetchone()
        return found[0] if found else None

    def drop_note(self, name: str, value: str) -> None:
        self._db.execute("DELETE FROM note WHERE name=? AND value=?", (name, value))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, in memory too."""
        if self._stale:
            self._remember()
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._stale = True
            with contextlib.suppress(sqlite3.Error):
                self._db.rollback()
            raise

    # -- filling

    def store(self, samples: Sequence[Sample]) -> None:
        """Write those that are not in the file yet, in one transaction."""
        with self._transaction():
            rows = self._new_rows(samples)
            if len(self._fresh) < self._merge_at:
                self._db.executemany(f"INSERT INTO fresh ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)", rows)  # noqa: S608
            else:
                self._merge(rows)

    def _new_rows(self, samples: Iterable[Sample]) -> list[Row]:
        rows: list[Row] = []
        devices, fresh, merged_upto = self.devices, self._fresh, self._merged_upto
        for sample in samples:
            device = devices.get(sample.device) or self._add_device(sample.device)
            boot = schema.packed_boot(sample.boot)
            key = (device, boot, sample.seq)
            if key in fresh or not sample.values:
                continue
            if device in merged_upto and sample.t <= merged_upto[device] and self._is_merged(device, sample.t, key):
                continue
            fresh.add(key)
            rows.append(schema.row_of(sample, device, boot, self._numbers(sample)))
            self.count += len(sample.values)
            _saw(self._latest.setdefault(device, {}), sample)
        return rows

    def _is_merged(self, device: int, t: int, key: Key) -> bool:
        sql = "SELECT 1 FROM sample WHERE device=? AND t=? AND boot=? AND seq=?"
        return self._db.execute(sql, (device, t, key[1], key[2])).fetchone() is not None

    def _merge(self, rows: list[Row]) -> None:
        """Sort what is fresh, and `rows`, in among the rest."""
        db = self._db
        db.execute(f"INSERT OR IGNORE INTO sample SELECT {COLUMNS} FROM fresh ORDER BY device, t, boot, seq")  # noqa: S608
        db.execute("DELETE FROM fresh")
        rows.sort(key=lambda row: row[:2])
        db.executemany(f"INSERT OR IGNORE INTO sample ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)", rows)  # noqa: S608
        for device in {key[0] for key in self._fresh}:
            self._note_merged(device)
            latest = [
                (device, self.readings[name], t, schema.to_json(value).decode())
                for name, (t, value) in self._latest[device].items()
            ]
            db.executemany("INSERT OR REPLACE INTO latest VALUES (?,?,?,?)", latest)
        self._fresh = set()
        db.execute("INSERT OR REPLACE INTO note VALUES ('merged', ?)", (self.count,))

    def _note_merged(self, device: int) -> None:
        newest = self._db.execute("SELECT max(t) FROM sample WHERE device=?", (device,)).fetchone()[0]
        if newest is not None:
            self._merged_upto[device] = newest

    def _add_device(self, name: str) -> int:
        self.devices[name] = number = self._db.execute("INSERT INTO device (name) VALUES (?)", (name,)).lastrowid or 0
        return number

    def _numbers(self, sample: Sample) -> dict[str, int]:
        for name in sample.values:
            if name not in self.readings:
                self._add_reading(name)
        return self.readings

    def _add_reading(self, name: str) -> int:
        number = self._db.execute("INSERT INTO reading (name) VALUES (?)", (name,)).lastrowid or 0
        self.names[str(number)] = name
        self.readings[name] = number
        return number

    # -- removing

    def remove_piece(self, device: int, before: int) -> int:
        """Remove about a thousand of a device's sorted samples with t < before; how many readings, 0 when done.

        What is removed for its age is averaged, in whole hours: each is written once. `before` is `EVER` to forget it.
        """
        db = self._db
        cut = db.execute(
            "SELECT t FROM sample WHERE device=? AND t<? ORDER BY t LIMIT 1 OFFSET ?", (device, before, PIECE)
        ).fetchone()
        bounds = (device, min(hours.whole_hours(cut[0]) + hours.HOUR, before) if cut else before)
        gone = db.execute("SELECT sum(n) FROM sample WHERE device=? AND t<?", bounds).fetchone()[0]
        if not gone:
            return 0
        with self._transaction():
            if before != EVER:
                hours.add(db, "sample", "device=? AND t<?", bounds)
            db.execute("DELETE FROM sample WHERE device=? AND t<?", bounds)
            db.execute("UPDATE note SET value=value-? WHERE name='merged'", (gone,))
            self.count -= gone
        return int(gone)

    def remove_rest(self, before: int, device: int | None = None) -> int:
        """Remove fresh samples and last values with t < before, of one device or of all; how many readings."""
        db = self._db
        where, bounds = ("t<? AND device=?", (before, device)) if device else ("t<?", (before,))
        with self._transaction():
            gone = int(db.execute(f"SELECT coalesce(sum(n),0) FROM fresh WHERE {where}", bounds).fetchone()[0])  # noqa: S608
            if before != EVER:
                hours.add(db, "fresh", where, bounds)
            db.execute(f"DELETE FROM fresh WHERE {where}", bounds)  # noqa: S608
            db.execute(f"DELETE FROM latest WHERE {where}", bounds)  # noqa: S608
            if device and before == EVER:
                hours.forget(db, [device], EVER)
                db.execute("DELETE FROM device WHERE id=?", (device,))
        self._remember()
        return gone

    def remove_hours(self, before: int) -> None:
        """Remove the averages of hours that began before `before`, epoch ms."""
        with self._transaction():
            hours.forget(self._db, self.devices.values(), before)

    def put_back(self, averages: Sequence[tuple[str, str, hours.Average]]) -> None:
        """Write averages saved from a damaged file, where there are none yet."""
        with self._transaction():
            named = [
                (
                    self.devices.get(device) or self._add_device(device),
                    self.readings.get(name) or self._add_reading(name),
                    average,
                )
                for device, name, average in averages
            ]
            hours.put_back(self._db, named)

    def latest(self) -> dict[str, dict[str, tuple[int, Value]]]:
        """{device: {reading: (t, value)}}; safe beside a writer."""
        found = ((name, dict(self._latest.get(number, {}))) for name, number in list(self.devices.items()))
        return {name: readings for name, readings in found if readings}


def _saw(latest: dict[str, tuple[int, Value]], sample: Sample) -> None:
    t = sample.t
    for name, value in sample.values.items():
        if name not in latest or latest[name][0] <= t:
            latest[name] = (t, value)
