"""What the engine counts, for metrics and the page. Written by the engine's thread alone; anyone may read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

Observe = Callable[[str, float], None]
"""(function, seconds)."""


def _unobserved(_function: str, _seconds: float) -> None: ...


@dataclass(slots=True)
class EngineStats:
    """Plain counters by function, and hooks for histograms (called on the engine's thread; keep them quick)."""

    invocations: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(function, outcome): attempts by how they ended: `succeeded` or the kind of failure."""
    retries: Counter[str] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)
    cold_starts: Counter[str] = field(default_factory=Counter)
    """Events handed to a worker that was started while they waited."""
    starts: Counter[str] = field(default_factory=Counter)
    start_failures: Counter[str] = field(default_factory=Counter)
    starts_delayed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(function, reason): how often a start had to wait (`governor`)."""
    refused: Counter[str] = field(default_factory=Counter)
    """Calls of the Runtime API refused, by error type."""
    overflowed: Counter[str] = field(default_factory=Counter)
    """Events that had to wait on disk because the queue in memory was full; delayed, not dropped."""
    observe_duration: Observe = _unobserved
    """Hand-over to answer."""
    observe_init: Observe = _unobserved
    """Start of a worker to its first `next`."""
