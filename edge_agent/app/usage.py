"""What functions used, put together for whoever asks: whole hours from the journal, the newest from the meter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edge_agent.app.parts import Parts
from edge_agent.domain.usage import HOUR, Usage, total
from edge_agent.engine.functions.meter import MINUTE, Spans
from edge_agent.errors import Fault, Invalid

Json = dict[str, Any]
RECENT = 5 * MINUTE
"""Milliseconds over which "now" is judged."""


def of_function(parts: Parts, function: str, since: int, until: int, step: int) -> Json:
    """`{"function","since","until","step","total","recent","items": [{"t",...}]}`; spans without any are left out.

    `step` is a minute (the last hour only) or whole hours, in ms; 0 chooses. `since` is rounded down to a step.
    Errors: `Invalid`.
    """
    step = step or (MINUTE if until - since <= HOUR + MINUTE else HOUR)
    if step != MINUTE and (step < HOUR or step % HOUR):
        hint = "the last hour is kept by the minute, all before by the hour"
        raise Invalid([Fault("query", 0, 0, "step", "is neither 1m nor whole hours", hint)])
    since -= since % step
    minutes = parts.meter.minutes(function)
    fine = minutes if step == MINUTE else _hours(parts, function, since)
    spans: dict[int, Usage] = {}
    for at, usage in sorted(fine.items()):
        if since <= at < until:
            spans.setdefault(at - at % step, Usage()).add(usage)
    now = parts.clock()
    return {
        "function": function,
        "since": since,
        "until": until,
        "step": step,
        "total": total(spans.values()).show(),
        "recent": {"span": RECENT} | total(_newer(minutes, now - RECENT)).show(),
        "items": [{"t": at} | usage.show() for at, usage in spans.items()],
    }


def _hours(parts: Parts, function: str, since: int) -> Spans:
    """What is in memory stands over what is on disk."""
    return dict(parts.journal.usage(function, since)) | parts.meter.hours(function)


def _newer(minutes: Spans, than: int) -> Iterable[Usage]:
    return (usage for at, usage in minutes.items() if at > than)


def keep(parts: Parts) -> None:
    """Write what has changed: about once a minute, and at the end."""
    if rows := parts.meter.rows():
        parts.journal.keep_usage(rows)


def begin(parts: Parts) -> None:
    """Go on with the hour that has begun; from now on every settlement counts."""
    now = parts.clock()
    parts.meter.cold_starts = parts.engine.stats.cold_starts
    parts.engine.listeners.append(parts.meter.settled)
    parts.meter.begin(parts.journal.usage_of_hour(now - now % HOUR))
