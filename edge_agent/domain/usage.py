"""What functions used: counted in spans of time, added up, and told in the units people pay for elsewhere.

Pure. Durations are kept as a histogram whose steps grow by a tenth, so that a percentile of any number of attempts costs a
few bytes and is off by five percent at most.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec

HOUR = 3_600_000
"""Milliseconds."""
STEP = 1.1
SHORTEST = 0.01
"""Milliseconds: nothing is told apart below."""
MiB = 1024 * 1024


class Usage(msgspec.Struct):
    """One span of one function. `billed` is MiB times billed milliseconds: an attempt is billed from hand-over to its end,
    rounded up to a millisecond (AWS Lambda: "Duration is calculated from the time your code begins executing until it
    returns or otherwise terminates, rounded up to the nearest 1 ms")."""

    invocations: int = 0
    """Attempts, each of which Lambda would bill."""
    cold_starts: int = 0
    billed: int = 0
    microseconds: int = 0
    errors: dict[str, int] = {}
    """By `Failed.kind`."""
    steps: dict[int, int] = {}
    """Attempts by duration: step n holds those above `STEP` ** (n - 1) and up to `STEP` ** n milliseconds."""

    def attempt(self, seconds: float, memory: int, error: str) -> None:
        """Add one that took `seconds` with `memory` bytes; `error` is "" when it was answered."""
        self.invocations += 1
        if error:
            self.errors[error] = self.errors.get(error, 0) + 1
        if seconds <= 0.0:
            return
        self.billed += math.ceil(seconds * 1000) * (memory // MiB)
        self.microseconds += round(seconds * 1_000_000)
        step = math.ceil(math.log(max(SHORTEST, seconds * 1000), STEP))
        self.steps[step] = self.steps.get(step, 0) + 1

    def add(self, other: Usage) -> None:
        self.invocations += other.invocations
        self.cold_starts += other.cold_starts
        self.billed += other.billed
        self.microseconds += other.microseconds
        for kind, count in other.errors.items():
            self.errors[kind] = self.errors.get(kind, 0) + count
        for step, count in other.steps.items():
            self.steps[step] = self.steps.get(step, 0) + count

    @property
    def gb_seconds(self) -> float:
        """Gigabytes (1024 MiB) of memory times seconds: AWS Lambda's unit."""
        return self.billed / 1024 / 1000

    def percentile(self, part: float) -> float:
        """The duration in milliseconds that `part` (0 to 1) of the attempts did not exceed; 0.0 when there were none."""
        wanted = part * sum(self.steps.values())
        seen = 0
        for step in sorted(self.steps):
            seen += self.steps[step]
            if seen >= wanted:
                return float(STEP ** (step - 0.5))
        return 0.0

    def show(self) -> dict[str, Any]:
        """JSON-ready, durations in milliseconds."""
        timed = sum(self.steps.values())
        return {
            "invocations": self.invocations,
            "errors": sum(self.errors.values()),
            "errors_by_kind": dict(sorted(self.errors.items())),
            "cold_starts": self.cold_starts,
            "gb_seconds": round(self.gb_seconds, 6),
            "mean_ms": round(self.microseconds / 1000 / timed, 3) if timed else None,
            "p95_ms": round(self.percentile(0.95), 3) if timed else None,
        }


def total(spans: Iterable[Usage]) -> Usage:
    """All of them together, as a new one."""
    whole = Usage(errors={}, steps={})
    for span in spans:
        whole.add(span)
    return whole
