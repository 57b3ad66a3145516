"""The sample tables as their one writer sees them: what is in them already, and what a write changes.

SD cards die of writes. A sample put straight into its place in the sorted table costs a page (4 KiB, twice with the WAL)
for every device in the call; so a call that does not bring a page's worth of each device is appended to `fresh`, and what is
there goes, `merge_at` at a time, into `sample`.
Per reading, measured on a busy 2-core VM with samples of 3 readings (`write_bytes` of /proc/self/io):

    samples per call / devices      merge_at 1         5,000             20,000
    10,000 / 100                    81 B, 1.8 us       81 B, 2.0 us      81 B, 2.3 us
    1,000 / 100                     376 B, 3.9 us      134 B, 3.0 us     112 B, 2.7 us
    300 / 100                       859 B, 5.0 us      136 B, 2.3 us     129 B, 2.4 us
    300 / 300                       1,368 B, 9.2 us    145 B, 3.6 us     127 B, 3.7 us
    50 / 10                         859 B, 5.8 us      194 B, 4.2 us     206 B, 3.6 us

Not chosen: a row for each reading (twice the bytes and CPU of a row for each sample), chunks of many samples packed and
compressed (half the file, but what arrives late and what is looked for inside needs code of our own), a unique index on
(boot, seq) (a random page for every sample: memory knows what is fresh, the key tells what is older).
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, KeysView, Sequence
from operator import itemgetter
from typing import Any

from edge_agent.adapters.history_sqlite import hours, schema
from edge_agent.adapters.history_sqlite.schema import COLUMNS, Row
from edge_agent.domain.reading import Sample, Value

PIECE = 1000
"""Rows removed in one transaction, so that a batch from the journal never waits long."""
FULL = 100
"""Samples of each device that fill its pages well enough to be sorted in at once: a page takes about 60."""

EVER = 2**63 - 1
NOTHING: KeysView[str] = {}.keys()

_of_device = itemgetter(0)
_INTO = f"({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)"


class Series:
    """One boot of one board, since the last merge: `seen` has what is in `fresh`; `newest` is its last sample in time among
    those with the readings `names`, not in the table of last values yet."""

    __slots__ = ("boot", "device", "names", "newest", "seen", "t")

    def __init__(self, device: int, boot: str) -> None:
        self.device = device
        self.boot = schema.packed_boot(boot)
        self.seen: set[int] = set()
        self.newest: Sample | None = None
        self.names = NOTHING
        self.t = -1


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
        self._series: dict[tuple[str, str], Series] = {}
        self._fresh = 0
        for device in self.devices.values():
            self._note_merged(device)
        latest: dict[int, dict[str, tuple[int, Value]]] = {}
        for device, reading, t, value in db.execute("SELECT device, reading, t, value FROM latest"):
            latest.setdefault(device, {})[self.names[str(reading)]] = (t, schema.value_of(value))
        named = {number: name for name, number in self.devices.items()}
        for row in db.execute(f"SELECT {COLUMNS} FROM fresh"):  # noqa: S608
            sample = schema.sample_of(row, named[row[0]], self.names)
            self._series_of(sample).seen.add(sample.seq)
            self.count += row[7]
            self._fresh += 1
            _saw(latest.setdefault(row[0], {}), sample)
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
            waiting = self._fresh + len(rows)
            devices = {series.device for series in self._series.values()}
            if waiting >= self._merge_at or len(rows) >= FULL * len(devices):
                self._merge(rows, devices)
            else:
                self._db.executemany(f"INSERT INTO fresh {_INTO}", rows)
                self._fresh = waiting

    def merge(self) -> None:
        """Sort in what waits, now."""
        with self._transaction():
            self._merge([], {series.device for series in self._series.values()})

    def _new_rows(self, samples: Iterable[Sample]) -> list[Row]:
        """This loop is most of what storing a sample costs (`make bench`: intake)."""
        rows: list[Row] = []
        find, merged_upto = self._series.get, self._merged_upto
        for sample in samples:
            values, seq, t = sample.values, sample.seq, sample.t
            series = find((sample.device, sample.boot)) or self._series_of(sample)
            seen, device = series.seen, series.device
            if seq in seen or not values:
                continue
            if t <= merged_upto.get(device, -1) and self._is_merged(device, t, series.boot, seq):
                continue
            seen.add(seq)
            if t >= series.t and series.names == values.keys():
                series.newest, series.t = sample, t
            else:
                self._see(series, sample)
            rows.append(schema.row_of(sample, device, series.boot, self.readings))
        self.count += sum([row[7] for row in rows])
        return rows

    def _series_of(self, sample: Sample) -> Series:
        key = (sample.device, sample.boot)
        series = self._series.get(key)
        if series is None:
            device = self.devices.get(sample.device) or self._add_device(sample.device)
            series = self._series[key] = Series(device, sample.boot)
        return series

    def _see(self, series: Series, sample: Sample) -> None:
        """A sample with other readings than those before it, or an older one."""
        for name in sample.values:
            if name not in self.readings:
                self._add_reading(name)
        latest = self._latest.setdefault(series.device, {})
        if sample.t < series.t:
            _saw(latest, sample)
            return
        if series.newest is not None:
            _saw(latest, series.newest)
        series.newest, series.t, series.names = sample, sample.t, sample.values.keys()

    def _is_merged(self, device: int, t: int, boot: bytes | str, seq: int) -> bool:
        sql = "SELECT 1 FROM sample WHERE device=? AND t=? AND boot=? AND seq=?"
        return self._db.execute(sql, (device, t, boot, seq)).fetchone() is not None

    def _merge(self, rows: list[Row], devices: Iterable[int]) -> None:
        """Sort what is fresh, and `rows`, in among the rest; they are of `devices`."""
        db = self._db
        if self._fresh:
            db.execute(f"INSERT OR IGNORE INTO sample SELECT {COLUMNS} FROM fresh ORDER BY device, t, boot, seq")  # noqa: S608
            db.execute("DELETE FROM fresh")
        rows.sort(key=_of_device)  # in time they come as it is
        db.executemany(f"INSERT OR IGNORE INTO sample {_INTO}", rows)
        for series in self._series.values():
            if series.newest is not None:
                _saw(self._latest.setdefault(series.device, {}), series.newest)
        for device in devices:
            self._note_merged(device)
            latest = [
                (device, self.readings[name], t, schema.to_json(value).decode())
                for name, (t, value) in self._latest.get(device, {}).items()
            ]
            db.executemany("INSERT OR REPLACE INTO latest VALUES (?,?,?,?)", latest)
        self._series, self._fresh = {}, 0
        db.execute("INSERT OR REPLACE INTO note VALUES ('merged', ?)", (self.count,))

    def _note_merged(self, device: int) -> None:
        newest = self._db.execute("SELECT max(t) FROM sample WHERE device=?", (device,)).fetchone()[0]
        if newest is not None:
            self._merged_upto[device] = newest

    def _add_device(self, name: str) -> int:
        self.devices[name] = number = self._db.execute("INSERT INTO device (name) VALUES (?)", (name,)).lastrowid or 0
        return number

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
        found = {number: dict(readings) for number, readings in self._latest.copy().items()}
        for series in list(self._series.values()):
            if series.newest is not None:
                _saw(found.setdefault(series.device, {}), series.newest)
        return {name: found[number] for name, number in list(self.devices.items()) if found.get(number)}


def _saw(latest: dict[str, tuple[int, Value]], sample: Sample) -> None:
    t = sample.t
    for name, value in sample.values.items():
        if name not in latest or latest[name][0] <= t:
            latest[name] = (t, value)
