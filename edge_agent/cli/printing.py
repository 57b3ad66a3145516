"""How answers are printed: a table for people, JSON, YAML or CSV for programs; nothing but the answer on standard output."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

Json: TypeAlias = Mapping[str, Any]
Column: TypeAlias = tuple[str, Callable[[Any], object]]
"""A heading, and what stands under it for one item."""
WIDE = 240
"""Columns of a table that goes into a pipe: nothing is cut there."""


def console() -> Console:
    """Standard output; colours only on a terminal without NO_COLOR (rich looks at both)."""
    wide = None if sys.stdout.isatty() else WIDE
    return Console(file=sys.stdout, width=wide, highlight=False, soft_wrap=False)


def items(found: Iterable[Any], form: str, columns: Sequence[Column], none: str = "nothing") -> None:
    """Print a list. `none` is what people are told when it is empty."""
    listed = list(found)
    if form == "json":
        click.echo(json.dumps(listed, indent=2, ensure_ascii=False))
    elif form == "yaml":
        click.echo(as_yaml(listed), nl=False)
    elif form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow([heading for heading, _ in columns])
        writer.writerows([[plain(cell(item)) for _, cell in columns] for item in listed])
    elif listed:
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for heading, _ in columns:
            table.add_column(heading.upper(), overflow="fold")
        for item in listed:
            table.add_row(*(escape(plain(cell(item))) for _, cell in columns))
        console().print(table)
    else:
        click.echo(none, err=True)


def one(found: Any, form: str, rows: Iterable[tuple[str, object]]) -> None:
    """Print one thing: for people as `name  value` lines."""
    if form == "json":
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    elif form == "yaml":
        click.echo(as_yaml(found), nl=False)
    else:
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(style="bold")
        table.add_column(overflow="fold")
        for name, value in rows:
            table.add_row(name, escape(plain(value)))
        console().print(table)


def as_yaml(value: Any) -> str:
    import yaml

    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110)
    return text


def plain(value: object) -> str:
    """A value in a table's cell. What a board sent may hold control characters; a terminal must not obey them."""
    match value:
        case None | "":
            return "-"
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:g}" if abs(value) < 1e15 else str(value)
        case list() | tuple():
            return ", ".join(map(plain, value)) or "-"
        case _:
            return "".join(letter if letter.isprintable() else "\ufffd" for letter in str(value))


def when(ms: float | None) -> str:
    """A point in time, local: `2026-11-23 10:00:00`."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(ms / 1000)) if ms else "-"


def ago(ms: float | None, now: float | None = None) -> str:
    """How long since: `5 s ago`."""
    if not ms:
        return "-"
    seconds = max(0, (now or time.time()) - ms / 1000)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
