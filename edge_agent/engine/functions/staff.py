"""The workers of one function: who is there, who is missing, who is let go.

Enters: what workers do, how many events queue, time. Leaves: starts and kills.
Guarantee: never more than `max_workers`, but for one that shows what a new version can; as many wait as manifest, schedule
or operator say whenever there is room; a function that cannot start is tried again less and less often, and why is known.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import Random

from edge_agent.domain.function import FunctionSpec
from edge_agent.engine.functions import pool
from edge_agent.engine.functions.aim import Aim
from edge_agent.engine.functions.backoff import Backoff
from edge_agent.engine.functions.desk import Hall
from edge_agent.engine.functions.governor import Want
from edge_agent.engine.functions.loop import NEVER
from edge_agent.engine.functions.stats import EngineStats
from edge_agent.engine.functions.work import (
    BUSY,
    ENDING,
    IDLE,
    RENEWED,
    RENEWING,
    RETURNING,
    STARTING,
    STATES,
    TRYING,
    Worker,
)
from edge_agent.errors import EdgeError

log = logging.getLogger(__name__)

START_TIMEOUT = 60.0
"""Seconds a worker may take before it first asks: a Pi reading Python from a card is slow."""
HEAD_START = 0.005
"""Seconds an event just handed over runs before the next worker is started: on two cores they would share one."""


class Staff:
    """Lives on the loop's thread only. `plan(when)` has the function reviewed at `when` (monotonic seconds) or before."""

    def __init__(
        self, spec: FunctionSpec, hall: Hall, plan: Callable[[float], None], chance: Random, stats: EngineStats
    ) -> None:
        self.spec = spec
        self.workers: dict[str, Worker] = {}
        self.idle: dict[str, Worker] = {}
        """Those that wait in `next`; the last one in is the first to work, so that the others can be let go."""
        self.aim = Aim(spec, hall.monotonic())
        self.last_error = ""
        self.last_error_kind = ""
        """One word for it (`ports.WorkerEvents.exited`)."""
        self._spare_at = NEVER
        """When one that serves many has been busy for as long as a start takes, and one should wait in its place."""
        self.counts = dict.fromkeys(STATES, 0)
        self.backoff = Backoff()
        self._given = 0.0
        self._hall = hall
        self._plan = plan
        self._chance = chance
        self._stats = stats
        self._look()

    # -- who is missing

    def fill(self, queued: int) -> None:
        """Start the workers that are missing for `queued` events, and those that should wait."""
        now = self._hall.monotonic()
        counts, aim = self.counts, self.aim
        between = counts[RETURNING] + counts[RENEWING] + counts[RENEWED]
        aim.windows.note(now, counts[BUSY] + between, queued)
        if now >= aim.due:
            self._plan(aim.decide(now, self._ready))
        if len(self.workers) - counts[TRYING] >= self.spec.pool.max_workers:
            return
        if not queued and self._enough(now, between + counts[STARTING]):
            return
        if not queued and now < self._given + HEAD_START:
            self._plan(self._given + HEAD_START)
            return
        census = self.census(now)
        self._spare_at = min((due for due in self._late() if due > now), default=NEVER)
        missing = self.aim.missing(census, queued)
        if missing <= 0:
            return
        if self.backoff.until > now:
            self._plan(self.backoff.until)
        pressing = aim.pressing(census, queued)
        for number in range(self.backoff.allows(missing, census.coming, now)):
            want = Want.of(self.spec.memory, event=number < pressing, alone=not census.ready + number)
            if not self._hall.starts.may(self.spec.name, want):
                return
            try:
                self._start(self.spec, STARTING)
            except EdgeError as error:
                self.start_failed(str(error))
                return

    def _enough(self, now: float, coming: int) -> bool:
        """Nothing to do with an empty queue, told without counting."""
        wish, waiting = self.aim.wish, len(self.idle) + coming
        if self.spec.isolation == "pod":
            return waiting >= wish.min_idle + wish.ahead
        return waiting + self.counts[BUSY] >= max(wish.min_idle, wish.desired) and now < self._spare_at

    def _start(self, spec: FunctionSpec, state: str) -> Worker:
        """Errors: `EdgeError`."""
        worker = self._hall.start_worker(spec)
        self.workers[worker.id] = worker
        worker.enter(state, worker.since, worker.since + worker.patience)
        self.counts[state] += 1
        self._plan(worker.deadline)
        self._stats.starts[spec.name] += 1
        return worker

    def try_out(self, spec: FunctionSpec) -> Worker:
        """Start one of another version, which counts for nobody until it asks. Errors: `EdgeError`."""
        return self._start(spec, TRYING)

    @property
    def between(self) -> int:
        """Those that had an event and will ask again."""
        return self.counts[RETURNING] + self.counts[RENEWING] + self.counts[RENEWED]

    @property
    def _ready(self) -> int:
        return len(self.workers) - self.counts[TRYING] - self.counts[ENDING]

    def census(self, now: float) -> pool.Census:
        counts = self.counts
        late = sum(1 for due in self._late() if due <= now) if counts[BUSY] else 0
        return pool.Census(counts[STARTING] + self.between, counts[IDLE], counts[BUSY], counts[ENDING], late)

    def _late(self) -> list[float]:
        """When each of the busy ones that will ask again has been busy for as long as a start takes."""
        if self.spec.isolation == "pod":
            return []
        return [
            worker.since + self.aim.pace.noticeable_start for worker in self.workers.values() if worker.state == BUSY
        ]

    def age(self, worker: Worker) -> float:
        """Seconds it has been in its present state."""
        return self._hall.monotonic() - worker.since

    # -- what is wanted

    def _look(self) -> None:
        self._plan(self._hall.monotonic() + self.aim.look(self._hall.clock() / 1000))

    def scale(self, min_idle: int | None) -> None:
        """An operator's word on how many wait; None: the manifest's again. Who waits beyond that is ended."""
        self.aim.override(min_idle)
        census = self.census(self._hall.monotonic())
        surplus = max(0, census.ready - self.aim.wanted(census, 0)) if min_idle is not None else 0
        for worker in list(self.idle.values())[:surplus]:
            self.end(worker)

    # -- what workers do

    def waits(self, worker: Worker) -> None:
        """It asked for an event."""
        now = self._hall.monotonic()
        if worker.state in (STARTING, TRYING):
            self._started(worker, now)
        elif worker.state == RENEWED:
            self.aim.pace.renewed(now - worker.since)
            self.backoff.worked()
        self._enter(worker, IDLE, now)
        self.idle[worker.id] = worker
        if len(self.idle) > self.aim.wish.min_idle:
            self._plan(now + self.spec.pool.idle_timeout)

    def _started(self, worker: Worker, now: float) -> None:
        self._hall.starts.asks(worker.id)
        seconds = now - worker.since
        worker.init_ms = seconds * 1000
        self.aim.pace.started(seconds)
        self.backoff.worked()
        self.last_error = ""
        self.last_error_kind = ""
        self._stats.observe_init(self.spec.name, seconds)

    def works(self, worker: Worker) -> None:
        """It was given an event."""
        now = self._hall.monotonic()
        self._given = now
        worker.served += 1
        self.aim.windows.given()
        self._enter(worker, BUSY, now, now + self.spec.timeout)
        self._plan(worker.deadline)
        room = len(self.workers) < self.spec.pool.max_workers
        if room and len(self.idle) < self.aim.wish.min_idle and self.spec.isolation != "pod":
            self._spare_at = min(self._spare_at, now + self.aim.pace.noticeable_start)
            self._plan(self._spare_at)

    def rests(self, worker: Worker, state: str, patience: float) -> None:
        """It holds no event and has `patience` seconds to ask again, or to leave by itself."""
        now = self._hall.monotonic()
        self._given = 0.0
        self.idle.pop(worker.id, None)
        worker.give = None
        self._enter(worker, state, now, now + patience)
        self._plan(worker.deadline)

    def renewed(self, worker: Worker) -> None:
        """Its fresh process is there, and has to ask."""
        self._enter(worker, RENEWED, worker.since, self._hall.monotonic() + START_TIMEOUT)
        self._plan(worker.deadline)

    def end(self, worker: Worker) -> None:
        self.idle.pop(worker.id, None)
        worker.give = None
        self._enter(worker, ENDING, self._hall.monotonic())
        self._hall.kill(worker)

    def end_free(self) -> None:
        """End everybody who holds no event, but who shows what a new version can."""
        for worker in list(self.workers.values()):
            if worker.state not in (BUSY, ENDING, TRYING):
                self.end(worker)

    def gone(self, worker: Worker) -> None:
        if self.workers.pop(worker.id, None) is not None:
            self.counts[worker.state] -= 1
        self.idle.pop(worker.id, None)

    def _enter(self, worker: Worker, state: str, now: float, deadline: float = NEVER) -> None:
        self.counts[worker.state] -= 1
        self.counts[state] += 1
        worker.enter(state, now, deadline)

    def start_failed(self, reason: str, kind: str = "start-failed") -> None:
        """No event pays for it: they wait, and starts are tried less and less often."""
        now = self._hall.monotonic()
        self.trouble(reason)
        self.last_error_kind = kind
        self.backoff.failed(now, self._chance)
        self._stats.start_failures[self.spec.name] += 1
        self._plan(self.backoff.until)

    def restored(self) -> None:
        """What kept workers from starting is over."""
        self.backoff.worked()

    def trouble(self, reason: str) -> None:
        """Make it known: in the log, and in `last_error` until a start works."""
        self.last_error = reason[:4096]
        log.warning("function %s cannot start: %s", self.spec.name, self.last_error)

    def replace(self, spec: FunctionSpec, *, fresh: bool = True) -> None:
        """Go on with another version: a start is worth trying at once; who is free is ended if workers are to be `fresh`."""
        before, self.spec = self.spec, spec
        self.backoff.worked()
        self.aim.replace(spec)
        self._look()
        if fresh:
            self.end_free()
            return
        for worker in self.workers.values():
            if worker.spec is before:
                worker.spec = spec

    # -- time

    def review(self) -> float:
        """See to what the hour asks for, and end those idle for too long; when to look again."""
        now = self._hall.monotonic()
        self._look()
        self._plan(self.aim.decide(now, self._ready))
        since = [worker.since for worker in self.idle.values()]
        for worker in list(self.idle.values())[: self.aim.surplus(self.census(now), since, now)]:
            self.end(worker)
        soonest = min((worker.since for worker in self.idle.values()), default=NEVER) + self.spec.pool.idle_timeout
        return soonest if soonest > now else NEVER  # who has idled long enough stays until less is wanted


def same_program(one: FunctionSpec, other: FunctionSpec) -> bool:
    """Would their workers be started with the same? Then those there may stay: the rest (how many, how long) is ours."""
    names = ("image", "source", "command", "args", "isolation", "memory", "cpu", "env", "secrets", "egress")
    return all(getattr(one, name) == getattr(other, name) for name in names)
