"""A day of one reading as a PNG of lines: no library, no text, so it is the same in every mail reader.

Enters: steps (time, lowest, mean, highest). Leaves: the bytes of a PNG (W3C PNG, third edition): a band from lowest to highest,
the mean as a line, a gap where nothing was heard. What the axes say stands beside it, in HTML.
Not chosen: SVG, which many mail readers do not show; matplotlib, which is larger than this whole appliance.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

WIDTH, HEIGHT = 560, 120
PAPER, GRID, BAND, LINE = (255, 255, 255), (228, 228, 228), (190, 214, 235), (24, 96, 160)
THICK = 0.9
"""Half the line, in pixels."""
GAP = 3
"""Steps without a reading that break the line."""


class Step(NamedTuple):
    """`t` in epoch ms, at the step's beginning."""

    t: int
    low: float
    mean: float
    high: float


class Canvas:
    """Rows of RGB; what is painted is mixed with what is there by how much of a pixel it covers."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.rows = [bytearray(PAPER * width) for _ in range(height)]

    def column(self, x: int, top: float, bottom: float, colour: tuple[int, int, int]) -> None:
        """Paint column `x` from `top` to `bottom`, which need not be whole numbers."""
        top, bottom = max(0.0, top), min(float(self.height), bottom)
        for y in range(int(top), min(self.height, int(bottom) + 1)):
            share = min(y + 1.0, bottom) - max(float(y), top)
            if share > 0:
                row, at = self.rows[y], x * 3
                for part in range(3):
                    row[at + part] += round((colour[part] - row[at + part]) * share)

    def png(self) -> bytes:
        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)  # 8 bits, RGB
        pixels = b"".join(b"\x00" + bytes(row) for row in self.rows)
        parts = ((b"IHDR", header), (b"IDAT", zlib.compress(pixels, 9)), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def limits(steps: Sequence[Step]) -> tuple[float, float]:
    """Bottom and top of the plot: a little more than lowest and highest, never the same."""
    low, high = min(step.low for step in steps), max(step.high for step in steps)
    margin = (high - low) * 0.05 or max(abs(high) * 0.05, 0.5)
    return low - margin, high + margin


def draw(steps: Sequence[Step], since: int, until: int, step: int) -> bytes:
    """`steps` (at least one, by time) between `since` and `until`; `step` is their length. All in ms."""
    canvas, (bottom, top) = Canvas(WIDTH, HEIGHT), limits(steps)

    def x_of(t: float) -> float:
        return (t - since) / (until - since) * WIDTH

    def y_of(value: float) -> float:
        return (top - value) / (top - bottom) * HEIGHT

    for quarter in range(1, 4):
        canvas.column(WIDTH * quarter // 4, 0, HEIGHT, GRID)
        for x in range(WIDTH):
            canvas.column(x, HEIGHT * quarter / 4 - 0.5, HEIGHT * quarter / 4 + 0.5, GRID)
    lines = [_points(part, step) for part in _unbroken(steps, step * GAP)]
    for colour in (BAND, LINE):
        for line in lines:
            for (t0, *first), (t1, *second) in pairwise(line):
                for x in range(max(0, int(x_of(t0))), min(WIDTH, int(x_of(t1)) + 1)):
                    left, right = max(float(x), x_of(t0)), min(x + 1.0, x_of(t1))
                    ends = [_between((x_of(t0), x_of(t1)), at, first, second) for at in (left, right)]
                    if right > left and colour is BAND:
                        canvas.column(x, y_of(max(e[2] for e in ends)), y_of(min(e[0] for e in ends)), BAND)
                    elif right > left:
                        means = [y_of(end[1]) for end in ends]
                        canvas.column(x, min(means) - THICK, max(means) + THICK, LINE)
    return canvas.png()


def _unbroken(steps: Sequence[Step], longest: int) -> Iterator[list[Step]]:
    part = [steps[0]]
    for before, after in pairwise(steps):
        if after.t - before.t > longest:
            yield part
            part = []
        part.append(after)
    yield part


def _points(part: Sequence[Step], step: int) -> list[Step]:
    """A step is known for its whole length: the line goes to its end."""
    return [*part, part[-1]._replace(t=part[-1].t + step)]


def _between(span: tuple[float, float], at: float, first: Sequence[float], second: Sequence[float]) -> list[float]:
    share = (at - span[0]) / (span[1] - span[0]) if span[1] > span[0] else 0.0
    return [a + (b - a) * share for a, b in zip(first, second, strict=True)]
