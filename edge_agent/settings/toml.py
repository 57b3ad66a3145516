"""A TOML file as plain values, with the line and column of every key. tomllib checks and parses; it tells no positions,
so a scan of the same text finds them.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_agent.errors import Fault

MAX_BYTES = 1024 * 1024
"""What comes after this is not read: nobody writes a configuration that long."""

_HEADER = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(#.*)?")
_KEY = re.compile(r"""\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*=""")
_PART = re.compile(r"""["']?([^"'.\s]+)["']?""")
_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")
_STRINGS = re.compile(r'"""|\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{}]')


@dataclass(slots=True)
class Document:
    """What was read; `places` maps a key's path to its (line, column), both from 1."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[tuple[str, ...], tuple[int, int]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def place(self, path: tuple[str, ...]) -> tuple[int, int]:
        """Where `path` is written, or the nearest table around it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, (1, 1))


def read(path: Path) -> Document:
    """Read a file; whatever is wrong with it is in `faults`, never raised."""
    document = Document(str(path))
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES).decode("utf-8")
        document.values = tomllib.loads(text)
    except OSError as error:
        reason = error.strerror or str(error)
        document.faults.append(Fault(document.name, 1, 1, "file", f"cannot be read: {reason}", "check the path"))
    except UnicodeDecodeError as error:
        document.faults.append(
            Fault(document.name, 1, 1, "file", f"is not UTF-8 (byte {error.start})", "save it as UTF-8")
        )
    except tomllib.TOMLDecodeError as error:
        document.faults.append(_syntax(document.name, text, error))
    except RecursionError:
        document.faults.append(Fault(document.name, 1, 1, "file", "is nested too deeply"))
    else:
        document.places = positions(text)
    return document


def _syntax(name: str, text: str, error: tomllib.TOMLDecodeError) -> Fault:
    found = _PLACE.search(str(error))
    line, column = (int(found[1]), int(found[2])) if found else (text.count("\n") + 1, 1)
    message = re.sub(r"\s*\(at .*\)$", "", str(error))
    written = text.splitlines()[line - 1].strip()[:60] if line <= text.count("\n") + 1 and text else ""
    return Fault(
        name, line, column, "TOML", message[:1].lower() + message[1:], f"the line is: {written}" if written else ""
    )


def positions(text: str) -> dict[tuple[str, ...], tuple[int, int]]:
    """The (line, column) of every key and table of a document that tomllib has accepted."""
    places: dict[tuple[str, ...], tuple[int, int]] = {}
    table: tuple[str, ...] = ()
    depth, quote = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if not depth and not quote:
            if header := _HEADER.fullmatch(line):
                table = tuple(_PART.findall(header[1]))
                places.setdefault(table, (number, header.start(1) + 1))
                continue
            if key := _KEY.match(line):
                path = table + tuple(_PART.findall(key[1]))
                places[path] = (number, key.start(1) + 1)
                depth, quote = _open_after(line[key.end() :], 0, "")
            continue
        depth, quote = _open_after(line, depth, quote)
    return places


def _open_after(text: str, depth: int, quote: str) -> tuple[int, str]:
    """How many brackets, and which multi-line quote, are still open after this line."""
    at = 0
    if quote:
        end = text.find(quote)
        if end < 0:
            return depth, quote
        at, quote = end + 3, ""
    while token := _STRINGS.search(text, at):
        at = token.end()
        if token[0] in ('"""', "'''"):
            end = text.find(token[0], at)
            if end < 0:
                return depth, token[0]
            at = end + 3
        elif token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
    return depth, quote
