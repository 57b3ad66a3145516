"""A recorded series, played as if a board measured it now, or as it was measured then.

Enters: a CSV file whose first column is the time and every other column a reading. Leaves: samples at their pace.
Times are ISO 8601 (UTC where no zone is said), `YYYY/MM/DD HH:MM`, or epoch seconds or milliseconds. Empty cells are
left out.
"""

from __future__ import annotations

import csv
import math
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge_agent.domain.reading import MAX_READINGS, Value
from edge_agent.domain.topics import to_name
from edge_agent.errors import Fault, Invalid
from edge_agent.simulator.member import Member, uptime

SECONDS_BEFORE = 100_000_000_000
"""A smaller number is epoch seconds, a larger one milliseconds."""
MAX_FAULTS = 20

Row = tuple[int, dict[str, Value]]


class Replay:
    """`Replay(path, speed=3600)`. Errors: `Invalid` with the faults of the file (the first 20).

    `speed` is how many seconds of the series pass in one; 0 is as fast as the board's buffer allows. `shift` False:
    every sample keeps its own time. True: the first is now, the others follow at the pace they are played.
    """

    def __init__(self, path: str | Path, *, speed: float = 1.0, shift: bool = False) -> None:
        self.path = Path(path)
        self.speed = speed
        self.shift = shift
        self.rows = _read(self.path)

    @property
    def device(self) -> str:
        """A name for the board, from the file's."""
        return to_name(self.path.stem) or "replay"

    def about(self) -> dict[str, Any]:
        """What the board says of itself."""
        return {"model": f"replay of {self.path.name}"[:200], "readings": {name: {} for name in self.rows[0][1]}}

    def samples(self, now: int) -> Iterator[tuple[int, Row]]:
        """(milliseconds from the start, (t, values)) of each sample; `now` in epoch ms is where a shifted series begins."""
        first = self.rows[0][0]
        for t, values in self.rows:
            delay = round((t - first) / self.speed) if self.speed else 0
            yield delay, (now + delay if self.shift else t, values)

    def play(self, member: Member, stop: threading.Event, *, now: int | None = None) -> bool:
        """Send all through `member`; returns when everything is acked, False when `stop` was set before."""
        start = uptime()
        begin = int(datetime.now(UTC).timestamp() * 1000) if now is None else now
        for delay, (t, values) in self.samples(begin):
            while not stop.is_set():
                full = member.pending >= member.board.capacity // 2
                left = start + delay - uptime()
                if not full and left <= 0:
                    break
                member.tick()
                if full:
                    member.wait_below(member.board.capacity // 2, 0.5)
                else:
                    stop.wait(min(left / 1000, 0.5))
            if stop.is_set():
                return False
            member.measure(values, t)
        while not stop.is_set():
            if member.wait_below(1, 0.5):
                return True
            member.tick()
        return False


def _read(path: Path) -> list[Row]:
    rows: list[Row] = []
    faults: list[Fault] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file)
            header = [to_name(name) for name in next(lines, [])]
            faults += _header_faults(path, header)
            for number, cells in enumerate(lines, 2):
                if not cells or len(faults) >= MAX_FAULTS:
                    continue
                try:
                    rows.append(_row(header, cells))
                except ValueError as error:
                    faults.append(Fault(str(path), number, 1, header[0] if header else "time", str(error)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        faults.append(Fault(str(path), 1, 1, "file", str(error)))
    if not rows and not faults:
        faults.append(Fault(str(path), 2, 1, "file", "no samples", "a line `time,reading` and one line per sample"))
    if faults:
        raise Invalid(faults)
    return sorted(rows, key=lambda row: row[0])


def _header_faults(path: Path, header: list[str]) -> list[Fault]:
    names = header[1:]
    if not names:
        return [Fault(str(path), 1, 1, "header", "needs a time and at least one reading", "time,temperature")]
    if len(names) > MAX_READINGS:
        return [Fault(str(path), 1, 1, "header", f"{len(names)} readings, {MAX_READINGS} at most")]
    if "" in names or len(set(names)) < len(names):
        return [Fault(str(path), 1, 1, "header", "every column needs a name of its own", "[a-z0-9-]{1,63}")]
    return []


def _row(header: list[str], cells: list[str]) -> Row:
    if len(cells) != len(header):
        raise ValueError(f"{len(cells)} columns, the header has {len(header)}")
    values = {name: _value(cell.strip()) for name, cell in zip(header[1:], cells[1:], strict=True) if cell.strip()}
    if not values:
        raise ValueError("no reading")
    return _time(cells[0].strip()), values


def _time(text: str) -> int:
    try:
        number = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text.replace("/", "-"))
        except ValueError:
            raise ValueError(f"{text!r} is no time") from None
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(zoned.timestamp() * 1000)
    return round(number * 1000 if abs(number) < SECONDS_BEFORE else number)


def _value(text: str) -> Value:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        number = float(text)
    except ValueError:
        return text[:256]
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is no reading")
    return int(number) if text.lstrip("+-").isdecimal() and abs(number) <= 2**53 else number
