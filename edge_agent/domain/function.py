"""A function as its manifest declares it (INTERFACE: Manifests), defaults filled in, units made plain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

MiB = 1024 * 1024
MAX_PAYLOAD = 6 * MiB
"""Bytes of an event or a response (AWS Lambda quotas: synchronous invocation payload)."""


LONGEST_TIMEOUT = 12 * 3600.0
"""Seconds. AWS Lambda ends after 900; here a function may heat a kiln."""


class ScheduleSpec(msgspec.Struct, frozen=True):
    """From each time `cron` names in `time_zone` on, for `lasts` seconds, at least `min_idle` workers wait."""

    cron: str
    time_zone: str
    min_idle: int
    lasts: float


class PoolSpec(msgspec.Struct, frozen=True):
    """How many workers: `min_idle` kept waiting in `next`, at most `max_workers`; an idle one above `min_idle` is let go
    after `idle_timeout` seconds."""

    min_idle: int = 0
    max_workers: int = 4
    idle_timeout: float = 300.0
    schedule: tuple[ScheduleSpec, ...] = ()


class RetrySpec(msgspec.Struct, frozen=True):
    """At most `attempts` hand-overs, none later than `max_age` seconds after the event."""

    attempts: int = 3
    max_age: float = 6 * 3600.0


class FunctionSpec(msgspec.Struct, frozen=True):
    """One function. `timeout` in seconds, `memory` in bytes, `cpu` in cores.

    `isolation`: `pod` (a fresh worker per event), `process` (a fresh process per event inside a long-lived pod), `shared`
    (one worker serves many). `source` is an absolute folder the process runner runs `command` + `args` in.
    """

    name: str
    image: str = ""
    source: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    isolation: Literal["pod", "process", "shared"] = "pod"
    timeout: float = 30.0
    memory: int = 64 * MiB
    cpu: float = 0.25
    pool: PoolSpec = PoolSpec()
    env: Mapping[str, str] = {}
    secrets: tuple[str, ...] = ()
    egress: tuple[str, ...] = ()
    retry: RetrySpec = RetrySpec()
    ordered: bool = False
    """One event of a device at a time, in the order recorded."""
    topics: tuple[str, ...] = ()
    crons: tuple[tuple[str, str], ...] = ()
    """(cron expression, time zone) pairs."""
    results_of: tuple[str, ...] = ()
