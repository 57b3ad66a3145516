"""Small plots in a terminal: braille dots, so that they work over SSH, in a log and without colours.

Pure: points in, lines of text out. Not chosen: a plotting library, whose import alone takes longer than any command here.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

Points: TypeAlias = Sequence[tuple[float, float]]
"""(epoch ms, value) pairs, oldest first."""
Mark: TypeAlias = tuple[float, str]
"""(epoch ms, the character that stands below the plot at that moment)."""

_BLOCKS = "▁▂▃▄▅▆▇█"
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Unicode's braille patterns: the bit of each of 4 rows by 2 columns."""
ROWS = 10


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """The values as one line of blocks; many are averaged into `width`."""
    if not values:
        return ""
    if len(values) > width:
        edges = [round(i * len(values) / width) for i in range(width + 1)]
        values = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(_BLOCKS[min(7, int((value - low) / span * 8))] for value in values)


def bars(values: Sequence[float], time: tuple[float, float], failed: Sequence[bool] = (), rows: int = 5) -> list[str]:
    """One column for each value, from zero, over `time` (epoch ms); none when all are zero. `failed` ones have a ! below."""
    high = max(values, default=0.0)
    if high <= 0:
        return []
    wide = max(1, min(3, 72 // len(values)))
    eighths = [round(value / high * rows * 8) or (1 if value else 0) for value in values]
    gutter = len(f"{high:g}")
    lines = []
    for row in range(rows - 1, -1, -1):
        label = f"{high:g}" if row == rows - 1 else "0" if row == 0 else ""
        drawn = "".join(_column(eighth - row * 8) * (wide - 1 or 1) + " " * (wide > 1) for eighth in eighths)
        lines.append(f"{label:>{gutter}} {'┤' if label else '│'}{drawn}".rstrip())
    width = wide * len(values)
    lines.append(f"{'':>{gutter}} └{'─' * width}")
    if any(failed):
        lines.append(f"{'':>{gutter}}  {''.join(('!' if bad else ' ').ljust(wide) for bad in failed)}".rstrip())
    lines.append(f"{'':>{gutter}}  {_times(time, width)}")
    return lines


def _column(eighths: int) -> str:
    return " " if eighths <= 0 else _BLOCKS[min(8, eighths) - 1]


def plot(points: Points, title: str = "", marks: Sequence[Mark] = (), columns: int = 0) -> list[str]:
    """A curve over time with its scale, as lines of at most `columns` characters (0: as wide as the terminal);
    none when there are not two moments to draw between."""
    if len({t for t, _ in points}) < 2:
        return []
    columns = columns or min(shutil.get_terminal_size((100, 24)).columns, 110)
    low, high = _scale([value for _, value in points])
    labels = [f"{high:g}", f"{(low + high) / 2:g}", f"{low:g}"]
    gutter = max(map(len, labels))
    width = max(10, columns - gutter - 3)
    first, last = points[0][0], points[-1][0]
    rows = _curve(points, (first, last), (low, high), width)
    named = {0: labels[0], ROWS // 2: labels[1], ROWS - 1: labels[2]}
    lines = [
        f"{named.get(i, ''):>{gutter}} ┤{row}" if i in named else f"{'':>{gutter}} │{row}" for i, row in enumerate(rows)
    ]
    if title:
        lines.insert(0, f"{'':>{gutter}}  {title}")
    lines.append(f"{'':>{gutter}} └{'─' * width}")
    if marks:
        lines.append(f"{'':>{gutter}}  {_marked(marks, (first, last), width)}".rstrip())
    lines.append(f"{'':>{gutter}}  {_times((first, last), width)}")
    return lines


def _scale(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 1, high + 1)


def _curve(points: Points, time: tuple[float, float], scale: tuple[float, float], width: int) -> list[str]:
    """The dots: each column of dots shows the lowest and highest of its time, joined to the column before."""
    cells = [[0] * width for _ in range(ROWS)]
    before: tuple[int, int] | None = None
    across, down = 2 * width - 1, 4 * ROWS - 1
    for x, group in itertools.groupby(points, lambda point: _place(point[0], time, across)):
        heights = [down - _place(value, scale, down) for _, value in group]
        top, bottom = min(heights), max(heights)
        if before and before[0] == x - 1:
            top, bottom = min(top, before[1]), max(bottom, before[1])
        elif before:
            _line(cells, before, (x, heights[0]))
        for y in range(top, bottom + 1):
            _dot(cells, x, y)
        before = (x, heights[-1])
    return ["".join(chr(0x2800 + bits) if bits else " " for bits in row).rstrip() for row in cells]


def _line(cells: list[list[int]], start: tuple[int, int], end: tuple[int, int]) -> None:
    length = end[0] - start[0]
    for x in range(start[0] + 1, end[0]):
        _dot(cells, x, round(start[1] + (end[1] - start[1]) * (x - start[0]) / length))


def _dot(cells: list[list[int]], x: int, y: int) -> None:
    cells[y // 4][x // 2] |= _DOTS[y % 4][x % 2]


def _place(value: float, span: tuple[float, float], most: int) -> int:
    low, high = span
    return round((value - low) / (high - low) * most) if high > low else 0


def _marked(marks: Sequence[Mark], time: tuple[float, float], width: int) -> str:
    row = [" "] * width
    for at, character in marks:
        if time[0] <= at <= time[1]:
            row[_place(at, time, width - 1)] = character
    return "".join(row)


def _times(time: tuple[float, float], width: int) -> str:
    seconds = (time[1] - time[0]) / 1000
    form = "%H:%M:%S" if seconds < 3600 else "%d %b %H:%M" if seconds < 30 * 86_400 else "%d %b %Y"
    left, right = (datetime.fromtimestamp(at / 1000).astimezone().strftime(form) for at in time)
    return f"{left}{right:>{max(len(right) + 1, width - len(left))}}"
