"""Durations as people write them in manifests and on the command line: `30s`, `5m`, `6h`, `2d`, `1h30m`, `250ms`.

Text in, seconds out, and back. A number without a unit is refused: nobody can tell 5 seconds from 5 minutes.
"""

from __future__ import annotations

import re

UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
LONGEST = 3_660 * 86_400.0
"""Ten years in seconds; anything longer is a slip of the pen."""

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|d|h|m|s)", re.ASCII)
_WHOLE = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)


def parse_duration(text: str) -> float:
    """Seconds in `text`: one or more numbers, each with its unit (d, h, m, s, ms), units from large to small.

    Raises `ValueError` with a sentence for the user.
    """
    if len(text) > 64 or not _WHOLE.fullmatch(text):
        raise ValueError(f"{text[:64]!r} is no duration; write a number and a unit, as in 30s, 5m, 6h or 2d")
    parts = _PART.findall(text)
    order = [list(UNITS).index(unit) for _, unit in parts]
    if order != sorted(set(order)):
        raise ValueError(f"{text!r}: write each unit once, the largest first, as in 1h30m")
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    if seconds > LONGEST:
        raise ValueError(f"{text!r} is longer than ten years")
    return round(seconds, 3)


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads back as `seconds` (to the millisecond): 5400.0 is `1h30m`."""
    left = round(seconds * 1000)
    text = ""
    for unit, length in UNITS.items():
        count, left = divmod(left, round(length * 1000))
        text += f"{count}{unit}" if count else ""
    return text or "0s"
