"""A history that a worn card has damaged: set aside, and read as far as it reads.

Nothing is deleted: the damaged file stays beside the new one for whoever wants to look.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from edge_agent.adapters.history_sqlite import hours, schema
from edge_agent.domain.reading import Sample

PIECE = 1000
"""Samples handed over at a time."""

_Scan: TypeAlias = Generator[list[tuple[Any, ...]], None, bool]


def set_aside(path: Path, stamp: str) -> Path:
    """Rename the file and its WAL, never over an older one; returns the new name."""
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def readable(damaged: Path) -> Iterator[list[Sample]]:
    """Every sample that still reads, in pieces; a row that makes no sense is left out. Never raises for what is damaged."""
    try:
        with contextlib.closing(schema.connect(damaged, read_only=True)) as db:
            devices = dict(db.execute("SELECT id, name FROM device"))
            names = {str(number): name for number, name in db.execute("SELECT id, name FROM reading")}
            for rows in _rows(db, list(devices)):
                if samples := list(_samples(rows, devices, names)):
                    yield samples
    except sqlite3.DatabaseError:
        return


def averages(damaged: Path) -> Iterator[list[tuple[str, str, hours.Average]]]:
    """Every hourly average that still reads, in pieces; some twice. Never raises for what is damaged."""
    try:
        with contextlib.closing(schema.connect(damaged, read_only=True)) as db:
            found = hours.readable(db)
            while piece := list(islice(found, PIECE)):
                yield piece
    except sqlite3.DatabaseError:
        return


def _rows(db: sqlite3.Connection, devices: list[int]) -> Iterator[list[tuple[Any, ...]]]:
    """Each device from both ends, because a damaged page in the middle stops a scan that starts before it."""
    columns = schema.COLUMNS
    for device in devices:
        for order in ("t", "t DESC"):
            sql = f"SELECT {columns} FROM sample WHERE device=? ORDER BY {order}"  # noqa: S608 - our own names
            if (yield from _scan(db, sql, (device,))):
                break
    for order in ("rowid", "rowid DESC"):
        if (yield from _scan(db, f"SELECT {columns} FROM fresh ORDER BY {order}", ())):  # noqa: S608
            break


def _scan(db: sqlite3.Connection, sql: str, values: tuple[int, ...]) -> _Scan:
    """Yields rows in pieces; returns whether it came to the end."""
    rows: list[tuple[Any, ...]] = []
    found = db.execute(sql, values)
    whole = True
    while True:
        try:
            row = next(found, None)
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            row, whole = None, False
        if row is None:
            break
        rows.append(row)
        if len(rows) == PIECE:
            yield rows
            rows = []
    if rows:
        yield rows
    return whole


def _samples(rows: list[tuple[Any, ...]], devices: dict[int, str], names: dict[str, str]) -> Iterator[Sample]:
    for row in rows:
        with contextlib.suppress(msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError):
            if all(type(number) is int for number in (row[1], *row[3:8])):
                yield schema.sample_of(row, devices[row[0]], names)
