"""Sizes and shares as people write them: `1GiB`, `64Mi`, `20MB`, `250m`. Text in, plain numbers out.

Both spellings are taken everywhere: Kubernetes' (`Mi`, `M`; apimachinery resource.Quantity) and the common one
(`MiB`, `MB`)."""

from __future__ import annotations

import re

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?", re.IGNORECASE)
_CPU = re.compile(r"(\d+(?:\.\d+)?)(m?)")


def parse_size(text: str | int) -> int:
    """Bytes. ValueError says what is accepted."""
    if isinstance(text, int) and not isinstance(text, bool):
        if text < 0:
            raise ValueError("is negative")
        return text
    found = _SIZE.fullmatch(str(text).strip()) if isinstance(text, str) else None
    # A small m alone is Kubernetes' milli: 64m of memory would be 0.064 bytes, and never what was meant.
    if found is None or found[2].lower() not in _UNITS or found[2] == "m":
        raise ValueError(f"{text!r} is no size; write for example 64Mi, 20MB or 1GiB")
    return int(float(found[1]) * _UNITS[found[2].lower()])


def parse_cpu(text: str | float) -> float:
    """Cores: `250m` is a quarter of one, `0.5` a half. ValueError says what is accepted."""
    if isinstance(text, (int, float)) and not isinstance(text, bool) and text > 0:
        return float(text)
    found = _CPU.fullmatch(text.strip()) if isinstance(text, str) else None
    cores = float(found[1]) / (1000 if found[2] else 1) if found else 0.0
    if cores <= 0:
        raise ValueError(f"{text!r} is no share of a CPU; write for example 250m or 0.5")
    return cores


def format_size(size: float) -> str:
    """The shortest honest form: `64 MiB`, `1.5 GiB`, `12 B`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if size == int(size) else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
