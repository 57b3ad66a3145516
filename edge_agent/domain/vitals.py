"""How the machine is: memory, heat, supply, pressure. What it does not tell is None, or False."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Vitals:
    """As of one look. `*_stalled` and `cpu_awaited` are percent of the last ten seconds (Linux, Documentation/accounting/psi:
    `full` and `some`, avg10)."""

    memory_available: int | None = None
    """Bytes that programs can have without swapping (proc(5), MemAvailable)."""
    celsius: float | None = None
    """The hottest thermometer."""
    slowed: bool = False
    """The firmware runs the board more slowly because it is too hot."""
    under_voltage: bool = False
    """The supply is too weak just now."""
    memory_stalled: float | None = None
    """All work stood still for want of memory."""
    io_stalled: float | None = None
    """All work stood still for the disk."""
    cpu_awaited: float | None = None
    """Somebody waited for a processor."""
