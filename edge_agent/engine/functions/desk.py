"""What a function's staff and crew need of the engine: Protocols only."""

from __future__ import annotations

from typing import Protocol, TypeVar

from edge_agent.domain.function import FunctionSpec
from edge_agent.domain.invocation import Attempt, Outcome
from edge_agent.engine.functions.starts import Starts
from edge_agent.engine.functions.work import Task, Worker

Crew = TypeVar("Crew", contravariant=True)


class Hall(Protocol):
    """Where workers come from and go to, and what time it is."""

    starts: Starts

    def clock(self) -> float:
        """Epoch milliseconds."""

    def monotonic(self) -> float:
        """Seconds."""

    def start_worker(self, spec: FunctionSpec) -> Worker:
        """Errors: `EdgeError`."""

    def kill(self, worker: Worker) -> None: ...


class Desk(Hall, Protocol[Crew]):
    """Where events come from, and where what became of them goes."""

    def request_id(self) -> str: ...
    def log(self, worker: Worker) -> str: ...
    def renew(self, worker: Worker) -> None: ...
    def lease(self, crew: Crew, task: Task) -> None: ...
    def hurry(self) -> None: ...
    def ended(self, crew: Crew, task: Task, attempt: Attempt, outcome: Outcome) -> None: ...
    def fetch(self, crew: Crew) -> None: ...
