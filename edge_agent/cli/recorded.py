"""Files of recorded readings in, samples out: CSV or JSON lines, for `rules test`.

Times are epoch milliseconds or ISO 8601 (local when no zone is given). Errors: `Invalid` with every line that is wrong.
"""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from edge_agent.domain.reading import Sample, Value
from edge_agent.domain.topics import to_name
from edge_agent.errors import Fault, Invalid

TIMES = ("t", "time", "timestamp", "date", "datetime")
MOST_FAULTS = 20
UNNAMED = "device"
"""Whose readings they are when nobody says."""


class _Odd(ValueError):
    """(field, message, hint) of one line."""


def read(path: Path, device: str = "") -> list[Sample]:
    """Every sample of the file, oldest first. `device` names the board where the file does not."""
    text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8-sig")
    name = "standard input" if str(path) == "-" else str(path)
    lines = _json_lines(text) if text.lstrip()[:1] in ("{", "[") else _csv_lines(text, name)
    samples: list[Sample] = []
    faults: list[Fault] = []
    for number, found in lines:
        try:
            samples.append(_sample(number, found() if callable(found) else found, device))
        except _Odd as odd:
            field, message, hint = odd.args
            faults.append(Fault(name, number, 1, field, message, hint))
            if len(faults) >= MOST_FAULTS:
                break
    if not samples and not faults:
        faults.append(Fault(name, 1, 1, "file", "holds no readings", "a CSV with a header line, or JSON lines"))
    if faults:
        raise Invalid(faults)
    return sorted(samples, key=lambda sample: sample.t)


def _json_lines(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, lambda line=line: _object(line)


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise _Odd("line", f"is no JSON: {error}", "one object per line") from error
    if not isinstance(found, dict) or not isinstance(found.get("readings"), dict):
        raise _Odd(
            "readings", "is missing", 'as in {"device": "tank-1", "t": 1763888888123, "readings": {"level": 18.2}}'
        )
    return {"device": found.get("device"), "t": found.get("t"), **found["readings"]}


def _csv_lines(text: str, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each line as {device, t, reading: value...}, whichever of the two forms the header says."""
    reader = csv.DictReader(io.StringIO(text))
    columns = [column.strip().lower() for column in reader.fieldnames or []]
    reader.fieldnames = columns
    time_column = next((column for column in columns if column in TIMES), None)
    if time_column is None:
        raise Invalid([Fault(name, 1, 1, "header", "has no time column", f"one of {', '.join(TIMES)}")])
    named = {"reading", "value"} <= set(columns)
    for row in reader:
        found: dict[str, Any] = {"device": row.get("device"), "t": row.get(time_column)}
        if named:
            found[row["reading"]] = _value(row["value"])
        else:
            others = {key: text for key, text in row.items() if key not in (time_column, "device") and key}
            found |= {to_name(key): _value(text) for key, text in others.items() if text not in (None, "")}
        yield reader.line_num, found


def _value(text: str) -> Value:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return float(text)
    except ValueError:
        return text


def _sample(number: int, found: dict[str, Any], device: str) -> Sample:
    whose, t = found.pop("device", None) or device or UNNAMED, _time(found.pop("t", None))
    for reading, value in found.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise _Odd(reading, f"{value} is no number", "leave it out")
        if not isinstance(value, (int, float, bool, str)):
            raise _Odd(reading, "must be a number, a boolean or a short text", "")
    return Sample(device=str(whose), boot="recorded", seq=number, t=t, received=t, values=found)


def _time(told: Any) -> int:
    if isinstance(told, (int, float)) and not isinstance(told, bool):
        return int(told)
    text = str(told or "").strip()
    try:
        return int(float(text)) if text.replace(".", "", 1).isdigit() else _moment(text)
    except (ValueError, OverflowError) as error:
        raise _Odd("t", f"{text!r} is no time", "epoch milliseconds or 2026-11-23T10:00:00") from error


def _moment(text: str) -> int:
    return int(datetime.fromisoformat(text.replace("/", "-")).timestamp() * 1000)
