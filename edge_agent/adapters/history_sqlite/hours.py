"""Hourly averages: what stays of samples that are removed for their age, in the table `hour`.

A sample is either still whole in `sample` or `fresh`, or in the average of its hour; it moves from one to the other in the
transaction that removes it. So both together are every reading once, and there is no seam to keep in mind. What comes late
for an hour that was averaged is a sample as any other, and is added to the average when its turn comes.

A row has the sum, minimum, maximum and count of one reading's numbers and booleans (1 and 0) in one hour. The key begins
with the device and the hour, so that what a day's removal adds to a device lies together: a page or two, as with its
samples. Measured with 100 devices that send 3 readings a minute, `write_bytes` of /proc/self/io: a row takes 36 bytes, and
a day's removal writes 22 to 26 MB with averages, 19 to 22 MB without. Not chosen: the reading before the hour, which makes
a plot read less but every removal write a page per reading.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from typing import TypeAlias

HOUR = 3_600_000
"""Milliseconds."""

Average: TypeAlias = tuple[int, float, float, float, int]
"""t (hours since the epoch), total, low, high, n."""

_MOVE = f"""INSERT INTO hour SELECT device, CAST(key AS INT), t / {HOUR}, total(value), min(value), max(value), count(value)
FROM {{table}}, json_each(vals) WHERE {{where}} AND type IN ('integer', 'real', 'true', 'false') GROUP BY 1, 3, 2
ON CONFLICT (device, t, reading) DO UPDATE SET
total = total + excluded.total, low = min(low, excluded.low), high = max(high, excluded.high), n = n + excluded.n"""  # noqa: S608 - our own text


def whole_hours(t: int) -> int:
    """The last full hour at or before `t`, epoch ms."""
    return t - t % HOUR


def add(db: sqlite3.Connection, table: str, where: str, values: tuple[int, ...]) -> None:
    """Add the samples of `table` that `where` names to their hours; the caller removes them in the same transaction."""
    db.execute(_MOVE.format(table=table, where=where), values)


def forget(db: sqlite3.Connection, devices: Iterable[int], before: int) -> None:
    """Remove the averages of the hours that began before `before`, epoch ms."""
    first_kept = -(-before // HOUR)
    db.executemany("DELETE FROM hour WHERE device=? AND t<?", [(device, first_kept) for device in devices])


def put_back(db: sqlite3.Connection, averages: Iterable[tuple[int, int, Average]]) -> None:
    """Write what was saved from a damaged file, (device, reading, average), where there is none yet."""
    db.executemany(
        "INSERT OR IGNORE INTO hour VALUES (?,?,?,?,?,?,?)", ((d, r, *average) for d, r, average in averages)
    )


def readable(db: sqlite3.Connection) -> Iterator[tuple[str, str, Average]]:
    """(device, reading, average) from a damaged file, as far as it reads, from both ends; some of them twice."""
    for order in ("", "DESC"):
        sql = f"SELECT * FROM hour ORDER BY device {order}, t {order}, reading {order}"  # noqa: S608 - our own text
        with contextlib.suppress(sqlite3.DatabaseError):
            devices = dict(db.execute("SELECT id, name FROM device"))
            readings = dict(db.execute("SELECT id, name FROM reading"))
            for device, reading, t, *values, n in db.execute(sql):
                whole = type(t) is int and type(n) is int and n > 0 and all(type(value) is float for value in values)
                if whole and device in devices and reading in readings:
                    yield devices[device], readings[reading], (t, values[0], values[1], values[2], n)
            return
