"""One function at work: its queue, its workers, and the moves between them.

Enters: tasks whose events are on disk; workers that ask, answer, exit. Leaves: events handed over, outcomes.
Guarantee: every task that enters leaves with an outcome, at the latest when its longest age is over; a worker holds one
event at a time and settles only that one; a worker that cannot start costs no event an attempt.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from edge_agent.domain.function import FunctionSpec
from edge_agent.domain.invocation import Attempt, Failed, Outcome
from edge_agent.engine.functions.desk import Desk
from edge_agent.engine.functions.line import Line
from edge_agent.engine.functions.rollout import REPLACED, Rollout, served
from edge_agent.engine.functions.staff import START_TIMEOUT, Staff, same_program
from edge_agent.engine.functions.standing import hindrance, standing
from edge_agent.engine.functions.stats import EngineStats
from edge_agent.engine.functions.work import (
    BUSY,
    ENDING,
    IDLE,
    RENEWED,
    RENEWING,
    RETURNING,
    STARTING,
    TRYING,
    Give,
    Task,
    Worker,
)

LINGER = 1.0
"""Seconds a worker that had its one event may take to leave by itself."""


class Crew:
    """Lives on the loop's thread only. `plan(when)` has `review` called at `when` (monotonic seconds) or before."""

    def __init__(
        self, spec: FunctionSpec, desk: Desk[Crew], plan: Callable[[float], None], chance: Random, stats: EngineStats
    ) -> None:
        self.spec = spec
        self.line = Line(ordered=spec.ordered)
        self.staff = Staff(spec, desk, plan, chance, stats)
        self.rollout = Rollout(self.staff)
        self.gone = False
        """There is no such function: deleted, and its last workers are on their way; or its first version is tried."""
        self._leasing = 0
        self._desk = desk
        self._plan = plan
        self._stats = stats

    # -- tasks

    def take(self, task: Task, *, fetched: bool = False) -> bool:
        """Queue a task, to be handed over by `hand_over`; False when it has to stay on disk for now."""
        if not self.line.take(task, fetched=fetched):
            self._stats.overflowed[self.spec.name] += 1
            return False
        if self.line.closing(task):
            self._desk.hurry()
        if not self.staff.idle:
            self._plan(task.expires)
        return True

    def take_later(self, task: Task, wait: float, *, fetched: bool = False) -> bool:
        """The same for one that is not to be tried for another `wait` seconds."""
        due = self._desk.monotonic() + wait
        if not self.line.take(task, fetched=fetched, due=due):
            return False
        self._plan(due)
        return True

    def leased(self, task: Task) -> None:
        """Its next attempt is on disk."""
        self._leasing -= 1
        task.leased = True
        self.line.put_back(task)
        if not self.gone:
            self.hand_over()

    def again(self, task: Task, due: float) -> None:
        """The task is to be tried once more, at `due` (monotonic seconds)."""
        task.number += 1
        task.leased = False
        self.line.put_off(task, due)
        self._plan(due)

    def over(self, task: Task) -> None:
        """The event has ended: there may be room for what stayed on disk."""
        self.line.ended(task)
        self._fetch()

    def pass_on(self, task: Task) -> None:
        """That it has ended is on disk: the next event of its device may go."""
        self.line.pass_on(task)
        self._plan(self.line.wake(self._desk.monotonic()))
        if not self.gone:
            self.hand_over()

    def _fetch(self) -> None:
        if self.line.behind and self.line.low:
            self._desk.fetch(self)

    def hand_over(self) -> None:
        """Match tasks that are ready with workers that wait, oldest task first."""
        line, idle = self.line, self.staff.idle
        while line and len(idle) > self._leasing:
            task = line.next()
            if task.expires <= self._desk.monotonic():
                self._expire(task)
            elif task.leased:
                self._give(idle.popitem()[1], task)
            else:
                self._leasing += 1
                self._desk.lease(self, task)
        self._fetch()
        self.fill()

    def fill(self) -> None:
        """Start the workers that are missing."""
        if not self.gone:
            self.staff.fill(len(self.line) + self._leasing)

    def _give(self, worker: Worker, task: Task) -> None:
        at = self._desk.clock()
        handover = worker.take(task, self._desk.request_id(), at)
        give, worker.give = worker.give, None
        self.staff.works(worker)
        if give is None or not give(handover):  # nothing has left us, so the attempt has not begun
            worker.task = None
            worker.served -= 1
            self.staff.rests(worker, RETURNING, START_TIMEOUT)
            self.line.put_back(task)
        elif worker.served == 1 and task.dispatched <= at - worker.init_ms:
            self._stats.cold_starts[self.spec.name] += 1

    def _expire(self, task: Task) -> None:
        reason = f"waited longer than {self.spec.retry.max_age:g} s for a worker: {hindrance(self.staff, self._desk)}"
        attempt = Attempt(max(1, task.number), "", task.dispatched)
        self._desk.ended(self, task, attempt, Failed("expired", reason, temporary=False))

    # -- workers

    def asks(self, worker: Worker, give: Give) -> bool:
        """It waits in `next`; False when it has no right to."""
        if worker.state == ENDING:
            self.staff.end(worker)
        if worker.state in (BUSY, RENEWING, ENDING):
            return False
        worker.adopted = False
        worker.give = give
        trial = self.rollout.passed() if self.rollout.on(worker) else None
        if trial is not None:
            self._adopt(trial.spec)
        self.staff.waits(worker)
        self.hand_over()
        if trial is not None:
            served(trial)
        return True

    def left(self, worker: Worker) -> None:
        """Its `next` call broke: it will ask again, or is going."""
        if worker.state == IDLE:
            self.staff.rests(worker, RETURNING, START_TIMEOUT)

    def answers(self, worker: Worker, outcome: Outcome) -> None:
        """The event it holds has ended."""
        assert worker.task is not None
        task, attempt = worker.task, worker.attempt(self._desk.clock())
        seconds = self._desk.monotonic() - worker.since
        worker.task, worker.answered_id = None, worker.request_id
        self.staff.aim.pace.served(seconds)
        self._stats.observe_duration(self.spec.name, seconds)
        if not self._stays(worker):
            self.staff.rests(worker, ENDING, LINGER)
        elif self.spec.isolation == "shared":
            self.staff.rests(worker, RETURNING, max(LINGER, self.spec.timeout))
        else:
            self.staff.rests(worker, RENEWING, START_TIMEOUT)
            self._desk.renew(worker)
        self._desk.ended(self, task, attempt, outcome)

    def _stays(self, worker: Worker) -> bool:
        return self.spec.isolation != "pod" and worker.spec is self.spec and not self.gone

    def cannot_start(self, worker: Worker, reason: str) -> None:
        """It said so itself (`init/error`), and will leave."""
        self._start_failed(worker, reason)
        self.staff.rests(worker, ENDING, LINGER)

    def _start_failed(self, worker: Worker, reason: str, printed: str = "", kind: str = "start-failed") -> None:
        reason += f"; it printed: {printed}" if printed else ""
        if self.rollout.on(worker):
            self.rollout.failed(reason)
        else:
            self.staff.start_failed(reason, kind)

    def renewed(self, worker: Worker) -> bool:
        """The process that had the event is gone with all it started; False when no fresh one is to begin in its place."""
        if worker.state == STARTING and worker.adopted:  # what waited left when the agent before us did
            return True
        if worker.state not in (BUSY, RENEWING) or not self._stays(worker):
            return False
        if worker.state == BUSY:
            log = self._desk.log(worker)
            self._fail(worker, Failed("worker-lost", "its process ended before it answered", log=log))
        self.staff.renewed(worker)
        return True

    def exited(self, worker: Worker, reason: str, tail: str, kind: str = "worker-lost") -> None:
        """It is gone, whatever it was doing."""
        self.staff.gone(worker)
        if worker.state in (STARTING, TRYING, RENEWED):
            self._start_failed(worker, f"its worker {reason} before it asked for an event", tail, kind)
        elif worker.task is not None:
            self._fail(worker, Failed(kind, f"its worker {reason} before it answered", log=tail))
        self.fill()

    def _fail(self, worker: Worker, failed: Failed) -> None:
        """The event it holds has no answer."""
        assert worker.task is not None
        task, attempt = worker.task, worker.attempt(0.0)
        worker.task = None
        self._desk.ended(self, task, attempt, failed)

    # -- time

    def review(self) -> None:
        """See to everything that time does: deadlines, retries that are due, events too old, workers too long idle."""
        now = self._desk.monotonic()
        soonest = self.line.wake(now)
        for worker in list(self.staff.workers.values()):
            if worker.deadline <= now:
                self._overdue(worker)
            soonest = min(soonest, worker.deadline)
        while (task := self.line.peek()) is not None and task.expires <= now:
            self._expire(self.line.next())
        if task is not None:
            soonest = min(soonest, task.expires)
        self._plan(min(soonest, self.staff.review()))
        self.hand_over()

    def _overdue(self, worker: Worker) -> None:
        if worker.state == BUSY:
            self._time_out(worker)
            return
        if worker.state in (STARTING, TRYING, RENEWED):
            patience = START_TIMEOUT if worker.state == RENEWED else worker.patience
            reason = f"its worker did not ask for an event within {patience:g} s"
            self._start_failed(worker, reason, self._desk.log(worker))
        elif worker.state == RENEWING:
            self.staff.trouble(f"its worker had no fresh process within {START_TIMEOUT:g} s")
        self.staff.end(worker)

    def _time_out(self, worker: Worker) -> None:
        """Kill first: what it may still do must not outlive the word that it failed."""
        self.staff.end(worker)
        reason = f"did not answer within {worker.spec.timeout:g} s"
        self._fail(worker, Failed("timeout", reason, log=self._desk.log(worker)))

    # -- versions

    def replace(self, spec: FunctionSpec) -> None:
        """Go on with another version: who is free is replaced, if it is another program, and who works may finish."""
        self.rollout.cancel(REPLACED)
        self._adopt(spec, fresh=self.gone or not same_program(self.spec, spec))
        self.hand_over()

    def _adopt(self, spec: FunctionSpec, *, fresh: bool = True) -> None:
        self.spec = spec
        self.gone = False
        self.line.arrange(ordered=spec.ordered)
        self.staff.replace(spec, fresh=fresh)

    def scale(self, min_idle: int | None) -> None:
        """An operator's word on how many wait; None: the manifest's again."""
        self.staff.scale(min_idle)
        self.fill()

    def dismiss(self) -> list[Task]:
        """The function is deleted: nothing new starts, who works may finish. The tasks that no worker holds."""
        if not self.gone:  # else what is tried is its first version, which no manifest has yet
            self.rollout.cancel("the function was deleted")
        self.gone = True
        self.staff.end_free()
        return self.line.drain()

    def status(self) -> dict[str, Any]:
        """For pages and people; see `standing`."""
        queued = len(self.line) + self._leasing
        return standing(self.line, self.staff, self._desk, queued) | {"trying": self.rollout.status()}
