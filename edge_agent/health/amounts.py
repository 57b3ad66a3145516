"""Times and sizes as one says them."""

from __future__ import annotations


def lasting(ms: float) -> str:
    """`3 h`: the largest unit that fits, from seconds to years."""
    seconds = max(0.0, ms / 1000)
    for unit, length in (("years", 365.25 * 86_400), ("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def size(count: float) -> str:
    """`1.2 GB`: decimal units, as on the card's label."""
    for unit, worth in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= worth:
            return f"{count / worth:.3g} {unit}"
    return f"{count:.0f} bytes"
