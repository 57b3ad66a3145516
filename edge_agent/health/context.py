"""All that a check may look at. Values where the agent knows, places where the machine knows."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_agent.ports import Clock, ClusterState


@dataclass(frozen=True, slots=True)
class Broker:
    """The connection to the MQTT broker. `since` is when it last came or went, epoch ms; `reason` why it is away."""

    address: str
    connected: bool
    since: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Journal:
    """`waiting` samples have not reached the history, the oldest since `oldest` (epoch ms, 0 = none); `commit_p99` in
    seconds; `trouble` is why it cannot be written, "" when it can."""

    waiting: int
    oldest: int
    commit_p99: float
    trouble: str = ""


def kernel_clock_in_step() -> bool:
    """Whether the kernel knows its clock to be right: adjtimex(2) does not return TIME_ERROR. chrony, ntpd and
    systemd-timesyncd all keep that state.

    Errors: OSError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    timex = ctypes.create_string_buffer(512)  # struct timex, modes 0: only ask; 208 bytes on 64-bit Linux
    state = libc.adjtimex(timex)
    if state < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return bool(state != TIME_ERROR)


TIME_ERROR = 5
"""What adjtimex(2) returns while the clock is not synchronised."""


@dataclass(frozen=True, slots=True)
class Context:
    """`broker` and `journal` are None where no agent runs to ask, `cluster` where functions do not run on one. `root` is
    where /sys, /proc and /run are found."""

    clock: Clock
    data_dir: Path
    broker: Broker | None = None
    journal: Journal | None = None
    cluster: ClusterState | None = None
    root: Path = Path("/")
    statvfs: Callable[[Path], os.statvfs_result] = os.statvfs
    kernel_clock_in_step: Callable[[], bool] = kernel_clock_in_step
