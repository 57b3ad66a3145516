"""A function is to run for an event: what is asked, and how each attempt ended."""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class Invocation(msgspec.Struct, frozen=True):
    """One function, one event. (id, function) is unique; the id is the CloudEvent's and the same on every attempt.

    `event` is the CloudEvents 1.0 JSON handed to the function. `attempts` is how many may already have been handed over:
    it is on disk before the hand-over, and starts at 1 because the first hand-over follows the record at once, so a crash
    can never run an event more often than its function's `retry.attempts`. `due` is the earliest hand-over, epoch ms.
    """

    id: str
    function: str
    event: bytes
    created: int
    cause: str = ""
    attempts: int = 1
    due: int = 0


class Succeeded(msgspec.Struct, frozen=True, tag="succeeded"):
    """The function answered."""

    response: bytes
    content_type: str = "application/json"


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The attempt did not end with an answer.

    `kind` is one word for label and filter: `function-error`, `timeout`, `worker-lost`, `oversize`,
    `expired`, `no-function`, `interrupted`, `too-deep`, `out-of-memory`, `too-many-processes`. `temporary` says
    whether another attempt may help. `reason` is a plain sentence; `log` is the tail of what the worker printed (at most
    4 KiB); `error` is the body the function posted.
    """

    kind: str
    reason: str
    temporary: bool = True
    log: str = ""
    error: bytes = b""


Outcome: TypeAlias = Succeeded | Failed


class Attempt(msgspec.Struct, frozen=True):
    """When one attempt passed each phase, epoch milliseconds with fractions; 0.0 where it did not get that far."""

    number: int
    request_id: str
    dispatched: float
    handed_over: float = 0.0
    answered: float = 0.0
    init_ms: float = 0.0


class Settlement(msgspec.Struct, frozen=True):
    """What one attempt's outcome does to its invocation; writing it twice changes nothing.

    `state`: `answered` (over), `dead` (over, in the dead letters), `waiting` (another attempt, not before `due`), or
    `leased` (attempt number `attempt.number` is about to be handed over; no outcome yet).
    """

    id: str
    function: str
    state: str
    at: int
    attempt: Attempt
    outcome: Outcome | None = None
    due: int = 0
