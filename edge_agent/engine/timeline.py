"""When each of the newest batches passed each phase: what `edgectl trace` and the latency metrics read.

Kept in memory, a few thousand batches; what matters for longer stands beside each invocation and alert in the journal.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from edge_agent.domain.reading import Sample

KEPT = 1024
"""Commits."""
SAMPLES_KEPT = 2000
"""Samples in them: enough to trace what has just happened, and little memory."""


@dataclass(slots=True)
class Phases:
    """One commit's moments, epoch ms with fractions; 0.0 is "not yet". `number` is the commit's in the journal."""

    received: float
    decoded: float
    samples: Sequence[Sample]
    number: int = 0
    on_disk: float = 0.0
    acknowledged: float = 0.0


@dataclass(slots=True)
class Timeline:
    """The newest batches; the oldest give way."""

    batches: deque[Phases] = field(default_factory=lambda: deque(maxlen=KEPT))
    _held: int = 0

    def open(self, samples: Sequence[Sample]) -> Phases:
        """Note a batch that has just been decoded and matched."""
        now = self.now()
        phases = Phases(samples[0].received if samples else now, now, samples)
        if samples:
            self.batches.append(phases)
            self._held += len(samples)
            while self._held > SAMPLES_KEPT and len(self.batches) > 1:
                self._held -= len(self.batches.popleft().samples)
        return phases

    @staticmethod
    def now() -> float:
        return time.time() * 1000

    def find(self, device: str, boot: str, seq: int) -> tuple[Phases, Sample] | None:
        """The batch a sample came in, when it is still remembered."""
        for phases in reversed(self.batches.copy()):
            for sample in phases.samples:
                if sample.seq == seq and sample.device == device and sample.boot == boot:
                    return phases, sample
        return None
