"""The tables of `history.db`, how the file is opened, and how a sample becomes a row and a row a sample.

A row is a whole sample, its values one JSON object by reading number (`{"1":18.2,"3":true}`): JSON keeps apart 18, 18.0
and true, and SQLite can look inside. It is keyed (device, t, boot, seq), so one device's time lies together in the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from edge_agent.domain.reading import Sample, Value
from edge_agent.errors import Refused

Row: TypeAlias = tuple[int, int, bytes | str, int, int, int, int, int, str]
"""device, t, boot, seq, lag (received - t), flags, oldest, n (values), vals."""

COLUMNS = "device, t, boot, seq, lag, flags, oldest, n, vals"
UNDATED, NOT_LIVE = 1, 2
VERSION = 2

TABLES = (
    """
CREATE TABLE device (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE reading (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE fresh (device INT, t INT, boot, seq INT, lag INT, flags INT, oldest INT, n INT, vals TEXT);
CREATE TABLE sample (device INT, t INT, boot, seq INT, lag INT, flags INT, oldest INT, n INT, vals TEXT,
    PRIMARY KEY (device, t, boot, seq)) WITHOUT ROWID;
CREATE TABLE latest (device INT, reading INT, t INT, value TEXT, PRIMARY KEY (device, reading)) WITHOUT ROWID;
CREATE TABLE note (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
""",
    """
CREATE TABLE hour (device INT, reading INT, t INT, total REAL, low REAL, high REAL, n INT,
    PRIMARY KEY (device, t, reading)) WITHOUT ROWID;
""",
)
"""What each version added to the one before."""

to_json = msgspec.json.Encoder().encode
values_of = msgspec.json.Decoder(dict[str, float | int | bool | str]).decode
value_of = msgspec.json.Decoder(float | int | bool | str).decode


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit whose commits are fsynced; `read_only` ones refuse to write."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    db.execute(f"PRAGMA cache_size={-512 if read_only else -1024}")  # KiB, half of what is usual: it stays taken
    if read_only:
        db.execute("PRAGMA query_only=1")
        return db
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA secure_delete=0")
    db.execute("PRAGMA wal_autocheckpoint=4000")  # a page changed by many small commits goes into the file once
    db.execute("PRAGMA journal_size_limit=16777216")
    return db


def ensure_tables(db: sqlite3.Connection) -> None:
    """Make the tables that a new file or an older version's lacks. Errors: `Refused` when a newer version wrote the file."""
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found > VERSION:
        raise Refused(
            f"the history was written by a newer version (schema {found}, this one knows {VERSION}): "
            "install that version again, or move history.db away"
        )
    if found < VERSION:
        db.executescript(f"BEGIN IMMEDIATE;{''.join(TABLES[found:])}PRAGMA user_version={VERSION};COMMIT;")


def packed_boot(boot: str) -> bytes | str:
    """16 hexadecimal digits as 8 bytes, anything else as it is: every sample carries it."""
    if len(boot) == 16:
        try:
            packed = bytes.fromhex(boot)
        except ValueError:
            return boot
        if packed.hex() == boot:
            return packed
    return boot


def row_of(sample: Sample, device: int, boot: bytes | str, numbers: Mapping[str, int]) -> Row:
    """`boot` as packed by `packed_boot`; `numbers` has the number of every reading in the sample."""
    values, t = sample.values, sample.t
    numbered = {numbers[name]: value for name, value in values.items()}
    return (
        device,
        t,
        boot,
        sample.seq,
        sample.received - t,
        (0 if sample.dated else UNDATED) | (0 if sample.live else NOT_LIVE),
        sample.oldest,
        len(values),
        to_json(numbered).decode(),
    )


def sample_of(row: tuple[Any, ...], device: str, names: Mapping[str, str]) -> Sample:
    """`names` maps a reading's number, as text, to its name. Errors: msgspec.MsgspecError, KeyError on a damaged row."""
    _, t, boot, seq, lag, flags, oldest, _, vals = row
    values: dict[str, Value] = {names[number]: value for number, value in values_of(vals).items()}
    return Sample(
        device=device,
        boot=boot if isinstance(boot, str) else boot.hex(),
        seq=seq,
        t=t,
        received=t + lag,
        values=values,
        dated=not flags & UNDATED,
        live=not flags & NOT_LIVE,
        oldest=oldest,
    )
