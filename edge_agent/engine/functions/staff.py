"""The workers of one function: who is there, who is missing, who is let go.

Guarantee: never more than `max_workers`; `min_idle` wait whenever there is room; a function that cannot start is tried
again less and less often, and why is known.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from edge_agent.domain.function import FunctionSpec
from edge_agent.engine.functions import pool
from edge_agent.engine.functions.loop import NEVER
from edge_agent.engine.functions.stats import EngineStats
from edge_agent.engine.functions.work import BUSY, ENDING, IDLE, RENEWING, RETURNING, STARTING, Worker
from edge_agent.errors import EdgeError

log = logging.getLogger(__name__)

START_TIMEOUT = 60.0
"""Seconds a worker may take before it first asks: a Pi reading Python from a card is slow."""
HEAD_START = 0.005
"""Seconds an event just handed over runs before the next worker is started: on two cores they would share one."""


class Hall(Protocol):
    """Where workers come from and go to."""

    def monotonic(self) -> float: ...
    def start_worker(self, spec: FunctionSpec) -> Worker: ...
    def kill(self, worker: Worker) -> None: ...


class Staff:
    """Lives on the loop's thread only. `plan(when)` has the function reviewed at `when` (monotonic seconds) or before."""

    def __init__(
        self, spec: FunctionSpec, hall: Hall, plan: Callable[[float], None], chance: Random, stats: EngineStats
    ) -> None:
        self.spec = spec
        self.workers: dict[str, Worker] = {}
        self.idle: dict[str, Worker] = {}
        """Those that wait in `next`; the last one in is the first to work, so that the others can be let go."""
        self.pace = pool.Pace()
        self.last_error = ""
        self._backoff = pool.Backoff()
        self._given = 0.0
        self._hall = hall
        self._plan = plan
        self._chance = chance
        self._stats = stats

    def fill(self, queued: int) -> None:
        """Start the workers that are missing for `queued` events and for `min_idle`."""
        if not queued and self._enough():
            return
        now = self._hall.monotonic()
        if not queued and now < self._given + HEAD_START:
            self._plan(self._given + HEAD_START)
            return
        census = self.census()
        missing = pool.to_start(self.spec, census, queued, self.pace)
        if missing <= 0:
            return
        if self._backoff.until > now:
            self._plan(self._backoff.until)
        for _ in range(self._backoff.allows(missing, census.coming, now)):
            try:
                worker = self._hall.start_worker(self.spec)
            except EdgeError as error:
                self.start_failed(str(error))
                return
            self.workers[worker.id] = worker
            worker.deadline = now + START_TIMEOUT
            self._plan(worker.deadline)
            self._stats.starts[self.spec.name] += 1

    def _enough(self) -> bool:
        """Nothing to do with an empty queue, told without counting."""
        there = len(self.workers) if self.spec.isolation == "shared" else len(self.idle)
        return there >= self.spec.pool.min_idle

    def census(self) -> pool.Census:
        states = Counter(worker.state for worker in self.workers.values())
        return pool.Census(
            states[STARTING] + states[RETURNING] + states[RENEWING], states[IDLE], states[BUSY], states[ENDING]
        )

    def waits(self, worker: Worker) -> None:
        """It asked for an event."""
        now = self._hall.monotonic()
        if worker.state == STARTING:
            self._started(worker, now)
        worker.enter(IDLE, now)
        self.idle[worker.id] = worker
        if len(self.idle) > self.spec.pool.min_idle:
            self._plan(now + self.spec.pool.idle_timeout)

    def _started(self, worker: Worker, now: float) -> None:
        seconds = now - worker.since
        worker.init_ms = seconds * 1000
        self.pace.started(seconds)
        self._backoff.worked()
        self.last_error = ""
        self._stats.observe_init(self.spec.name, seconds)

    def works(self, worker: Worker) -> None:
        """It was given an event."""
        now = self._hall.monotonic()
        self._given = now
        worker.served += 1
        worker.enter(BUSY, now, now + self.spec.timeout)
        self._plan(worker.deadline)

    def rests(self, worker: Worker, state: str, patience: float) -> None:
        """It holds no event and has `patience` seconds to ask again, or to leave by itself."""
        now = self._hall.monotonic()
        self._given = 0.0
        self.idle.pop(worker.id, None)
        worker.give = None
        worker.enter(state, now, now + patience)
        self._plan(worker.deadline)

    def end(self, worker: Worker) -> None:
        self.idle.pop(worker.id, None)
        worker.give = None
        worker.enter(ENDING, self._hall.monotonic(), NEVER)
        self._hall.kill(worker)

    def end_free(self) -> None:
        """End everybody who holds no event."""
        for worker in list(self.workers.values()):
            if worker.state in (STARTING, IDLE, RETURNING):
                self.end(worker)

    def gone(self, worker: Worker) -> None:
        self.workers.pop(worker.id, None)
        self.idle.pop(worker.id, None)

    def start_failed(self, reason: str) -> None:
        """No event pays for it: they wait, and starts are tried less and less often."""
        now = self._hall.monotonic()
        self.last_error = reason[:4096]
        self._backoff.failed(now, self._chance)
        self._stats.start_failures[self.spec.name] += 1
        self._plan(self._backoff.until)
        log.warning("function %s cannot start: %s", self.spec.name, self.last_error)

    def replace(self, spec: FunctionSpec) -> None:
        """Go on with another version: who is free is ended, a new start is worth trying at once."""
        self.spec = spec
        self._backoff.worked()
        self.end_free()

    def let_go(self) -> float:
        """End those idle for too long; when to look again."""
        since = [worker.since for worker in self.idle.values()]
        for worker in list(self.idle.values())[: pool.to_let_go(self.spec, since, self._hall.monotonic())]:
            self.end(worker)
        if len(self.idle) <= self.spec.pool.min_idle:
            return NEVER
        return min(worker.since for worker in self.idle.values()) + self.spec.pool.idle_timeout

    def status(self) -> dict[str, Any]:
        states = Counter(worker.state for worker in self.workers.values())
        counts = {state: states[state] for state in (STARTING, IDLE, BUSY, ENDING)}
        return {
            "workers": counts | {BUSY: states[BUSY] + states[RETURNING] + states[RENEWING]},
            "last_error": self.last_error,
        }
