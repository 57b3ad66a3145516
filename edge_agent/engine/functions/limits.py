"""How quickly workers may be started, for the board it is. Pure: cores and bytes in, `Limits` out.

Kubernetes: three to four pods a second were the most that two cores started, whatever was asked of them; two a second for
each core keep them at it without a queue in the kubelet, where it could not be put in order any more. Measured on a
two-core virtual machine; on no Raspberry Pi yet.
"""

from __future__ import annotations

from edge_agent.domain.function import MiB
from edge_agent.engine.functions.governor import Limits

PODS_PER_CORE, PROCESSES_PER_CORE = 2.0, 200.0
"""Starts in a second."""
PODS_BURST, PROCESSES_BURST = 5.0, 1.0
"""Seconds' worth of starts at once."""
LEAST_RESERVE, MOST_RESERVE, RESERVED = 64 * MiB, 512 * MiB, 12
"""Bytes; and one part in so many of the machine's memory."""


def for_board(*, cores: int, memory: int, pods: bool) -> Limits:
    """`memory` of the machine in bytes, 0: unknown. `pods`: workers may run on other machines, whose memory is the
    scheduler's."""
    rate = (PODS_PER_CORE if pods else PROCESSES_PER_CORE) * max(1, cores)
    burst = int(rate * (PODS_BURST if pods else PROCESSES_BURST))
    reserve = 0 if pods or not memory else min(MOST_RESERVE, max(LEAST_RESERVE, memory // RESERVED))
    return Limits(per_second=rate, burst=burst, memory_reserve=reserve)
