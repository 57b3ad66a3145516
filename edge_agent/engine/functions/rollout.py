"""A new version of a function proves that it can start before it takes over.

Enters: a spec to try, and what became of its one worker. Leaves: the word whether it passed, and why not.
Guarantee: the version that serves goes on serving until the new one has asked for an event; then its free workers are ended,
busy ones finish, and what queued goes to the new one. A version that cannot start is gone again, and who tried it is told
once, with what it printed. At most one worker more than `max_workers` while it is tried.
A function's first version is tried the same way: until it asks there is no such function, and none when it cannot start.
What declares it is to be stored when it has passed: another document of the same function ends the trial as replaced.
Not chosen: sending the new version a part of the events. A shelf has too few events to judge by, and each would be real.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from edge_agent.domain.function import FunctionSpec
from edge_agent.engine.functions.staff import Staff
from edge_agent.engine.functions.work import Worker
from edge_agent.errors import EdgeError

log = logging.getLogger(__name__)

OnResult = Callable[[str | None], None]
"""Called once, on the loop's thread: None when the version serves, else why it does not."""
REPLACED, STOPPING = "replaced by a newer version", "the agent is stopping"


class Trial(NamedTuple):
    spec: FunctionSpec
    worker: Worker
    on_result: OnResult


class Rollout:
    """Of one function; lives on the loop's thread only."""

    def __init__(self, staff: Staff) -> None:
        self._staff = staff
        self._trial: Trial | None = None

    def begin(self, spec: FunctionSpec, on_result: OnResult) -> None:
        """Start one worker of `spec` beside those that serve; a trial that is on ends as replaced."""
        self.cancel(REPLACED)
        try:
            worker = self._staff.try_out(spec)
        except EdgeError as error:
            _tell(spec, on_result, str(error))
        else:
            self._trial = Trial(spec, worker, on_result)

    def on(self, worker: Worker) -> bool:
        """Is it this worker that shows what the new version can?"""
        return self._trial is not None and self._trial.worker is worker

    def passed(self) -> Trial:
        """Its worker asked for an event: the version is to serve. Tell the trial's `on_result` when it does."""
        assert self._trial is not None
        trial, self._trial = self._trial, None
        return trial

    def failed(self, reason: str) -> None:
        """Its worker did not get so far; whoever says so sees to the worker."""
        trial = self.passed()
        log.warning("the new version of function %s cannot start: %s", trial.spec.name, reason)
        _tell(trial.spec, trial.on_result, reason)

    def cancel(self, reason: str) -> None:
        """End the trial that is on, if there is one."""
        if self._trial is not None:
            self._staff.end(self._trial.worker)
            trial = self.passed()
            _tell(trial.spec, trial.on_result, reason)

    def status(self) -> dict[str, Any] | None:
        """The version that is tried: its `source`, its `image`, for how many `seconds` so far; None when none is."""
        if self._trial is None:
            return None
        spec, worker, _ = self._trial
        return {"source": spec.source, "image": spec.image, "seconds": round(self._staff.age(worker), 1)}


def _tell(spec: FunctionSpec, on_result: OnResult, reason: str | None) -> None:
    """What goes wrong over there is theirs."""
    try:
        on_result(reason)
    except Exception:
        log.exception("nobody could be told what became of the new version of %s", spec.name)


def served(trial: Trial) -> None:
    """Say that the version has taken over."""
    _tell(trial.spec, trial.on_result, None)
