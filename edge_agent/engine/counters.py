"""What is counted on the path of a reading; the metrics page gives these their names (INTERFACE: Metrics)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Plain numbers, counted for a batch at a time by the one thread that owns each."""

    received: Counter[str] = field(default_factory=Counter)
    """Messages by dialect."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Messages by reason."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Messages or samples let go, by reason."""
    stored: int = 0
    """Readings on disk."""
    samples: int = 0
    """Messages' worth of them."""
    alert_latency: list[float] = field(default_factory=list)
    """Seconds from receipt to the alert's PUBACK, the newest thousand."""

    def alerted(self, seconds: float) -> None:
        self.alert_latency.append(seconds)
        del self.alert_latency[:-1000]
