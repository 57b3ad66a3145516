"""Dispatch: recorded invocations become outcomes, at least once, each attempt on disk before it is handed over.

Enters: `Invocation`s that are on disk; workers' calls (through the Runtime API); workers' ends (from the runner).
Leaves: settlements in the journal, and for whoever listens each attempt's settlement.
Guarantee: an invocation is settled as answered or dead exactly once in the journal; an event is handed over at most
`retry.attempts` times, crashes included; a late answer of one attempt never settles another. This is the only place
where what happened to a worker becomes an Outcome.
Not chosen: a thread per function or worker. One thread owns it all, so there is no lock and no order to get wrong.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Literal

from edge_agent.domain.function import FunctionSpec, RetrySpec
from edge_agent.domain.invocation import Attempt, Failed, Invocation, Outcome
from edge_agent.engine.functions.admission import Admission
from edge_agent.engine.functions.crew import Crew
from edge_agent.engine.functions.governor import Governor
from edge_agent.engine.functions.inbox import Inbox
from edge_agent.engine.functions.ledger import Ledger
from edge_agent.engine.functions.loop import Loop
from edge_agent.engine.functions.rollout import STOPPING, OnResult
from edge_agent.engine.functions.roster import Roster
from edge_agent.engine.functions.staff import START_TIMEOUT
from edge_agent.engine.functions.starts import Starts
from edge_agent.engine.functions.stats import EngineStats
from edge_agent.engine.functions.work import Give, Task, Worker, epoch_ms, random_uuid
from edge_agent.errors import EdgeError, Unavailable
from edge_agent.ports import Journal, Runner

Verdict = Literal["accepted", "twice", "not-yours", "unknown"]


class Engine:
    """`ports.WorkerEvents`. Methods marked "loop" belong to the loop's own thread.

    Set `runner` before `start`. `listeners` are called on the loop's thread after each settlement (not for leases) was put
    into the journal's queue: what they commit is on disk no earlier than the settlement.
    """

    runner: Runner
    start_timeout = START_TIMEOUT
    """Seconds a worker may take before it first asks; a runner that has to fetch images needs more."""

    def __init__(
        self,
        loop: Loop,
        journal: Journal,
        *,
        clock: Callable[[], float] = epoch_ms,
        new_id: Callable[[], str] = random_uuid,
        chance: Random | None = None,
        governor: Governor | None = None,
    ) -> None:
        self.loop = loop
        self.stats = EngineStats()
        self.clock = clock
        self.monotonic = time.monotonic
        self.request_id = new_id
        self._chance = chance or Random()
        self._journal = journal
        self._ledger = Ledger(loop, journal, clock, self._chance, self.stats)
        self._ledger.submit = self.submit
        self.followers = self._ledger.followers
        """Asked on the loop's thread when an attempt has ended: what is to run because of it, recorded in one commit."""
        self.listeners = self._ledger.listeners
        self.printing: list[Callable[[str, str, bytes], None]] = []
        """Called on the loop's thread with (function, worker id, what it printed); b"" when it is gone."""
        self._admission = Admission(self, self._ledger)
        self._roster = Roster(self._hire, self._admission)
        self.by_hand = self._roster.by_hand
        """`min_idle` of functions that somebody scaled: what an earlier life knew goes in before `start`."""
        self.starts = Starts(loop, self._roster.fill, governor or Governor(), self.monotonic, self.stats)
        self._workers: dict[str, Crew] = {}
        self._inbox = Inbox(loop, self._admission)
        self.closed = False
        """Nothing is handed over any more."""
        loop.after.append(self._ledger.save)

    # -- any thread

    def start(self, functions: Mapping[str, FunctionSpec]) -> None:
        """Begin with these functions and with what an earlier life of the agent left unfinished in the journal."""
        self.loop.post(self._start, dict(functions), *self._journal.unfinished())

    def submit(self, invocations: Sequence[Invocation]) -> None:
        """Queue invocations that are on disk; returns at once. Call it in their commit's `then`: that keeps their order."""
        self._inbox.submit(invocations)

    def invoke(self, invocation: Invocation, on_outcome: Callable[[Outcome], None]) -> None:
        """Run one for somebody who waits: one attempt. `on_outcome` is called on the loop's thread."""
        self.loop.post(self._invoke, invocation, on_outcome)

    def replace(self, functions: Mapping[str, FunctionSpec]) -> None:
        """From now on these functions: changed ones get new workers, deleted ones' events end as `no-function`."""
        self.loop.post(self._roster.replace, dict(functions))

    def rollout(self, spec: FunctionSpec, on_result: OnResult) -> None:
        """Have a version take over once it has shown that it can start; see `rollout`."""
        self.loop.post(self._roster.rollout, spec, on_result)

    def scale(self, function: str, min_idle: int | None) -> None:
        """Keep so many workers waiting, whatever manifest and schedules say; None: as they say. Errors: `NotFound`."""
        self.loop.ask(lambda: self._roster.scale(function, min_idle))

    def exited(self, worker_id: str, reason: str, log: str, kind: str = "worker-lost") -> None:
        """See `ports.WorkerEvents`."""
        self.loop.post(self._exited, worker_id, reason, log, kind)

    def renewed(self, worker_id: str) -> None:
        """See `ports.WorkerEvents`."""
        self.loop.post(self.renews, worker_id)

    def adopted(self, worker_id: str) -> None:
        """See `ports.WorkerEvents`."""
        self.loop.post(self._adopted, worker_id)

    def restored(self) -> None:
        """See `ports.WorkerEvents`."""
        self.loop.post(self._roster.restored)

    def printed(self, worker_id: str, text: bytes) -> None:
        """See `ports.WorkerEvents`."""
        self.loop.post(self._printed, worker_id, text)

    def status(self) -> Mapping[str, Mapping[str, Any]]:
        """Per function, for pages and people (`Crew.status`). Errors: `Unavailable`."""
        return self.loop.ask(self._roster.status)

    def close(self, grace: float = 0.0) -> None:
        """Hand over nothing more, let running attempts end for `grace` seconds, end every worker.

        What is unfinished stays leased in the journal and is taken up by the next `start`.
        """
        self.loop.ask(self._stop_giving)
        until = time.monotonic() + grace
        while time.monotonic() < until and self.loop.ask(self._roster.busy):
            time.sleep(0.01)
        self.loop.ask(self._end_all, timeout=30.0)

    # -- what workers do (loop)

    def asks(self, worker_id: str, give: Give) -> bool:
        """Loop. A worker waits in `next`; False when it is none of ours, holds an event, or is to go."""
        crew = self._workers.get(worker_id)
        return not self.closed and crew is not None and crew.asks(crew.staff.workers[worker_id], give)

    def left(self, worker_id: str, give: Give) -> None:
        """Loop. The connection on which it waited is gone (it may have another by now)."""
        if (crew := self._workers.get(worker_id)) is not None and crew.staff.workers[worker_id].give == give:
            crew.left(crew.staff.workers[worker_id])

    def answers(self, worker_id: str, request_id: str, outcome: Outcome) -> Verdict:
        """Loop. A worker says how `request_id` ended."""
        crew = self._workers.get(worker_id)
        if crew is None:
            return "not-yours"
        worker = crew.staff.workers[worker_id]
        if worker.task is None or request_id != worker.request_id:
            return "twice" if request_id and request_id == worker.answered_id else self._whose(request_id)
        if isinstance(outcome, Failed):
            outcome = Failed(outcome.kind, outcome.reason, outcome.temporary, self.log(worker), outcome.error)
        crew.answers(worker, outcome)
        return "accepted"

    def cannot_start(self, worker_id: str, reason: str) -> bool:
        """Loop. A worker says that its initialisation failed; False when it is none of ours or has begun to work."""
        crew = self._workers.get(worker_id)
        if crew is None or not crew.staff.workers[worker_id].fresh:
            return False
        worker = crew.staff.workers[worker_id]
        tail = self.log(worker)
        crew.cannot_start(worker, reason + (f"; it printed: {tail}" if tail else ""))
        return True

    def renews(self, worker_id: str) -> bool:
        """Loop. Its entry point says that its process is gone with all it started; True: a fresh one may begin."""
        crew = self._workers.get(worker_id)
        return crew is not None and not self.closed and crew.renewed(crew.staff.workers[worker_id])

    def _whose(self, request_id: str) -> Verdict:
        held = (worker.request_id for worker in self._roster.workers() if worker.task)
        return "not-yours" if request_id in held else "unknown"

    # -- what a crew needs (loop)

    def crew(self, function: str) -> Crew | None:
        """Loop. The function's crew, if there is such a function."""
        return self._roster.of(function)

    def start_worker(self, spec: FunctionSpec) -> Worker:
        """Loop. Errors: `EdgeError`."""
        if self.closed:
            raise Unavailable(STOPPING)
        worker_id = f"{spec.name}-{uuid.uuid4().hex[:12]}"
        self.starts.begun(worker_id, spec.memory)
        try:
            self.runner.start(worker_id, spec)
        except EdgeError:
            self.starts.gone(worker_id)
            raise
        self._workers[worker_id] = self._roster.crews[spec.name]
        return Worker(worker_id, spec, self.monotonic(), self.start_timeout)

    def kill(self, worker: Worker) -> None:
        """Loop."""
        self.runner.kill(worker.id)

    def renew(self, worker: Worker) -> None:
        """Loop."""
        self.runner.renew(worker.id)

    def log(self, worker: Worker) -> str:
        """Loop."""
        return self.runner.log(worker.id)

    def lease(self, crew: Crew, task: Task) -> None:
        """Loop. Put the task's attempt on disk, then have it handed over."""
        self._ledger.lease(task, lambda: self._leased(crew, task))

    def hurry(self) -> None:
        """Loop. An event waits for the end of the one before, which lingers."""
        self._ledger.hurry()

    def ended(self, crew: Crew, task: Task, attempt: Attempt, outcome: Outcome) -> None:
        """Loop. Settle an attempt: the event is over, or tried again."""
        once = task.on_outcome is not None or crew.gone
        retry = RetrySpec(attempt.number) if once else crew.spec.retry
        settled = self._ledger.settle(task, attempt, outcome, retry, left=task.expires - self.monotonic())
        if settled.state == "waiting":
            crew.again(task, self.monotonic() + (settled.due - settled.at) / 1000)
        else:
            self._admission.ended(settled.function, settled.id)
            crew.over(task)
            if crew.line.ordered:
                self._ledger.once_saved(lambda: self._passed_on(crew, task), urgent=crew.line.closes(task))
        if settled.outcome is not None:
            task.tell(settled.outcome)

    def fetch(self, crew: Crew) -> None:
        """Loop. There is room in memory again for what stayed on disk."""
        self._admission.fetch(crew.spec.name)

    # -- what other threads posted (loop)

    def _start(self, functions: dict[str, FunctionSpec], last: int, unfinished: list[str]) -> None:
        self._roster.replace(functions)
        self._admission.begin(last, unfinished)

    def _hire(self, spec: FunctionSpec) -> Crew:
        alarm = self.loop.alarm(lambda: None if self.closed else crew.review())
        crew = Crew(spec, self, alarm.no_later_than, self._chance, self.stats)
        return crew

    def _invoke(self, invocation: Invocation, on_outcome: Callable[[Outcome], None]) -> None:
        if self.closed:
            on_outcome(Failed("interrupted", "the agent is stopping"))
        else:
            self._admission.invoke(invocation, on_outcome)

    def _leased(self, crew: Crew, task: Task) -> None:
        if self.closed:
            return
        crew.leased(task)
        if crew.gone:
            self._roster.dismiss(crew)

    def _passed_on(self, crew: Crew, task: Task) -> None:
        if not self.closed:
            crew.pass_on(task)

    def _exited(self, worker_id: str, reason: str, tail: str, kind: str) -> None:
        self._printed(worker_id, b"")
        self.starts.gone(worker_id)
        crew = self._workers.pop(worker_id, None)
        if crew is not None and not self.closed:
            crew.exited(crew.staff.workers[worker_id], reason, tail, kind)
            self._roster.forget(crew)

    def _adopted(self, worker_id: str) -> None:
        if (crew := self._workers.get(worker_id)) is not None:
            crew.staff.workers[worker_id].adopted = True

    def _printed(self, worker_id: str, text: bytes) -> None:
        if (crew := self._workers.get(worker_id)) is not None:
            for listener in self.printing:
                listener(crew.spec.name, worker_id, text)

    def _stop_giving(self) -> None:
        self.closed = self._inbox.closed = True
        self._roster.cancel_rollouts(STOPPING)

    def _end_all(self) -> None:
        self._ledger.save()
        self.runner.close()
