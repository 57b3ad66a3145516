"""What the engine carries about: a task waiting for a worker, a worker, and what is handed from one to the other."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from typing import NamedTuple

from edge_agent.domain.function import FunctionSpec
from edge_agent.domain.invocation import Attempt, Invocation, Outcome

log = logging.getLogger(__name__)

STARTING, IDLE, BUSY, ENDING = "starting", "idle", "busy", "ending"
"""A worker was started; waits in `next`; has an event; is to go."""
RETURNING, RENEWING, RENEWED = "returning", "renewing", "renewed"
"""It has answered: the same process will ask again; its process gives way to a fresh one; which is there, and will ask."""
TRYING = "trying"
"""It was started to show that a new version can."""
STATES = (STARTING, IDLE, BUSY, ENDING, RETURNING, RENEWING, RENEWED, TRYING)

TRACEPARENT = re.compile(rb'"traceparent"\s*:\s*"([0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})"')
"""W3C Trace Context, 3.2: version, trace id, parent id, flags."""


class Handover(NamedTuple):
    """One event for one worker: everything the `next` call answers."""

    request_id: str
    deadline: int
    """Epoch milliseconds."""
    trace: str
    function: str
    event: bytes


Give = Callable[[Handover], bool]
"""Sends the event to the worker that waits; False when nobody is at the other end any more."""


class Task:
    """One invocation on its way. `leased` says that attempt `number` is on disk and may be handed over."""

    __slots__ = ("dispatched", "due", "expires", "invocation", "key", "leased", "number", "on_outcome")

    def __init__(self, invocation: Invocation, number: int, leased: bool, expires: float, dispatched: float) -> None:
        self.invocation = invocation
        self.number = number
        self.leased = leased
        self.expires = expires
        """Monotonic seconds, so that a clock set right in the middle ages nothing."""
        self.dispatched = dispatched
        self.on_outcome: Callable[[Outcome], None] | None = None
        """Set when somebody waits for the answer: then there is one attempt."""
        self.due = 0.0
        """Not to be handed over before, monotonic seconds."""
        self.key = ""
        """Whose events must not overtake it (`lanes`)."""

    def tell(self, outcome: Outcome) -> None:
        """Answer who waits; what goes wrong there is theirs."""
        if self.on_outcome is not None:
            try:
                self.on_outcome(outcome)
            except Exception:
                log.exception("nobody could be told how %s ended", self.invocation.id)


class Worker:
    """One process or pod. Times are monotonic seconds, `handed_over` and `asked_at` epoch milliseconds."""

    __slots__ = (
        "adopted",
        "answered_id",
        "deadline",
        "give",
        "handed_over",
        "id",
        "init_ms",
        "patience",
        "request_id",
        "served",
        "since",
        "spec",
        "state",
        "task",
    )

    def __init__(self, worker_id: str, spec: FunctionSpec, now: float, patience: float = float("inf")) -> None:
        self.id = worker_id
        self.patience = patience
        """Seconds it may take before it first asks."""
        self.spec = spec
        self.state = STARTING
        self.since = now
        self.deadline = float("inf")
        """When the present state has lasted too long."""
        self.give: Give | None = None
        self.task: Task | None = None
        self.adopted = False
        """It is older than this agent, has had no event or may have many, and has not asked since."""
        self.request_id = ""
        self.answered_id = ""
        self.handed_over = 0.0
        self.init_ms = 0.0
        self.served = 0

    @property
    def fresh(self) -> bool:
        """Its process has had no event."""
        return self.served == 0 or self.state == RENEWED

    def enter(self, state: str, now: float, deadline: float = float("inf")) -> None:
        self.state = state
        self.since = now
        self.deadline = deadline

    def take(self, task: Task, request_id: str, at: float) -> Handover:
        """It is to have this event, from `at` (epoch milliseconds) on."""
        self.task = task
        self.request_id = request_id
        self.handed_over = at
        event, deadline = task.invocation.event, int(at + self.spec.timeout * 1000)
        return Handover(request_id, deadline, xray(event, request_id, at), self.spec.name, event)

    def attempt(self, answered: float) -> Attempt:
        """The attempt this worker carries, as it stands."""
        assert self.task is not None
        return Attempt(
            number=self.task.number,
            request_id=self.request_id,
            dispatched=self.task.dispatched,
            handed_over=self.handed_over,
            answered=answered,
            init_ms=self.init_ms if self.served <= 1 else 0.0,
        )


def xray(event: bytes, request_id: str, now: float) -> str:
    """The trace id in X-Ray's form (`Root=1-8 hex-24 hex`): the event's own `traceparent`, or one made of the request id.

    `now` is epoch milliseconds.
    """
    if (at := event.find(b'"traceparent"', 0, 4096)) >= 0 and (found := TRACEPARENT.match(event, at)):
        _, trace, parent, flags = found[1].decode().split("-")
        return f"Root=1-{trace[:8]}-{trace[8:]};Parent={parent};Sampled={int(flags, 16) & 1}"
    return f"Root=1-{int(now / 1000):08x}-{request_id.replace('-', '')[:24]}"


def epoch_ms() -> float:
    return time.time() * 1000


def random_uuid() -> str:
    """RFC 9562, version 4, in a third of the time `uuid.uuid4` takes."""
    digits = os.urandom(16).hex()
    return (
        f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{'89ab'[int(digits[16], 16) & 3]}{digits[17:20]}-{digits[20:]}"
    )
