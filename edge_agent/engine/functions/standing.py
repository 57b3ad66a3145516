"""How a function stands, for pages and people: who works, what waits, why a start waits, and what would help.

Enters: its crew. Leaves: plain values. Looked up when somebody asks; nothing is kept for it.
"""

from __future__ import annotations

from typing import Any

from edge_agent.domain.function import FunctionSpec
from edge_agent.engine.functions.desk import Hall
from edge_agent.engine.functions.line import Line
from edge_agent.engine.functions.pool import Census
from edge_agent.engine.functions.staff import Staff
from edge_agent.engine.functions.work import BUSY, ENDING, IDLE, STARTING, TRYING

OUTRUN = 1.0
"""Seconds an event has to have waited before there is talk of what would help."""


def standing(line: Line, staff: Staff, hall: Hall, queued: int) -> dict[str, Any]:
    """Plain values. `workers` by state; `queued` in memory, `retrying` later, more `on_disk`.

    `desired` workers, of which `min_idle` are to wait because the `schedule` window or the operator's `override` (None:
    neither) or the manifest say so; `concurrency` on average of the `stable` and the `panic` window (60 s, 6 s), and
    whether there is `panic`; `last_error` of a start (empty: the last one worked) and its `last_error_kind`, after which
    the `next_start` is tried in so many seconds; `delayed`: why the next start waits (`reason`, one word; `why`, a
    sentence) and for how many `seconds` so far (None: it does not); `advice`: what would help events that wait (empty:
    nothing has to).
    """
    now, counts = hall.monotonic(), staff.counts
    census = staff.census(now)
    delay = hall.starts.delay(staff.spec.name) if staff.aim.missing(census, queued) else None
    task = line.peek()
    waited = (hall.clock() - task.dispatched) / 1000 if task else 0.0
    return {
        "workers": {
            STARTING: counts[STARTING] + counts[TRYING],
            IDLE: counts[IDLE],
            BUSY: counts[BUSY] + staff.between,
            ENDING: counts[ENDING],
        },
        "desired": staff.aim.wanted(census, queued),
        "last_error": staff.last_error,
        "last_error_kind": staff.last_error_kind,
        "next_start": max(0.0, round(staff.backoff.until - now, 1)),
        **staff.aim.status(),
        "delayed": {"reason": delay[0].reason, "why": delay[0].why, "seconds": round(delay[1], 1)} if delay else None,
        "advice": advice(staff.spec, census, waited, panic=staff.aim.wish.panic),
        "queued": queued + line.held_back,
        "retrying": line.waiting,
        "on_disk": line.behind,
    }


def hindrance(staff: Staff, hall: Hall) -> str:
    """Why an event found no worker."""
    delay = hall.starts.delay(staff.spec.name)
    return staff.last_error or (delay[0].why if delay else "none was free in all that time")


def advice(spec: FunctionSpec, census: Census, waited: float, *, panic: bool) -> str:
    """What would have spared an event that has waited so many seconds the wait, and others the next burst."""
    most = spec.pool.max_workers
    if waited >= OUTRUN and census.alive >= most and not census.coming:
        return (
            f"all {most} workers are at work while events wait: raise pool.maxWorkers, if the board has room for more"
        )
    if spec.isolation == "pod" and (waited >= OUTRUN or panic):
        return (
            "events come faster than fresh workers start: raise pool.minIdle, so that more wait in advance, or use "
            "isolation: process, a fresh process for each event in a worker that stays"
        )
    return ""
