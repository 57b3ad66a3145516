"""Which functions there are, each with its crew: opened, replaced, tried out, dismissed.

Enters: functions as they are declared. Leaves: crews, and the events of functions that are none any more, as `no-function`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edge_agent.domain.function import FunctionSpec
from edge_agent.engine.functions.admission import Admission
from edge_agent.engine.functions.crew import Crew
from edge_agent.engine.functions.rollout import OnResult
from edge_agent.engine.functions.work import BUSY, Worker
from edge_agent.errors import NotFound


class Roster:
    """Lives on the loop's thread. `hire` makes a crew for a function."""

    def __init__(self, hire: Callable[[FunctionSpec], Crew], admission: Admission) -> None:
        self.by_hand: dict[str, int] = {}
        """`min_idle` of functions that somebody scaled; of those only that there are, or that may yet be declared."""
        self.crews: dict[str, Crew] = {}
        """By name; those that are dismissed too, until their last worker is gone."""
        self._hire = hire
        self._admission = admission

    def of(self, function: str) -> Crew | None:
        """The function's crew, if there is such a function."""
        crew = self.crews.get(function)
        return None if crew is None or crew.gone else crew

    def replace(self, functions: Mapping[str, FunctionSpec]) -> None:
        """From now on there are these."""
        for name in self.crews.keys() - functions.keys():
            self.dismiss(self.crews[name])
        for name, spec in functions.items():
            crew = self.crews.get(name)
            if crew is None:
                self._open(spec)
            elif crew.gone or crew.spec != spec:
                crew.replace(spec)

    def rollout(self, spec: FunctionSpec, on_result: OnResult) -> None:
        """Have a version take over once it has shown that it can start; see `rollout`."""
        crew = self.crews.get(spec.name) or self._open(spec, gone=True)
        crew.rollout.begin(spec, on_result)
        if crew.gone:
            self.dismiss(crew)

    def cancel_rollouts(self, why: str) -> None:
        for crew in self.crews.values():
            crew.rollout.cancel(why)

    def fill(self, function: str) -> None:
        """It may start a worker, if it still needs one."""
        if (crew := self.crews.get(function)) is not None:
            crew.fill()

    def restored(self) -> None:
        """What kept workers from starting is over."""
        for crew in list(self.crews.values()):
            crew.staff.restored()
            crew.fill()

    def scale(self, function: str, min_idle: int | None) -> None:
        """See `Engine.scale`."""
        if (crew := self.of(function)) is None:
            raise NotFound(f"there is no function {function}; edgectl get functions lists them")
        if min_idle is None:
            self.by_hand.pop(function, None)
        else:
            self.by_hand[function] = min_idle
        crew.scale(min_idle)

    def dismiss(self, crew: Crew) -> None:
        """There is no such function: what no worker holds ends, on disk too."""
        self.by_hand.pop(crew.spec.name, None)
        for task in crew.dismiss():
            crew.line.ended(task)
            self._admission.no_function(task)
        if crew.line.behind:
            self._admission.fetch(crew.spec.name)
        self.forget(crew)

    def forget(self, crew: Crew) -> None:
        """Strike it off if it was dismissed and its last worker is gone."""
        if crew.gone and not crew.staff.workers:
            self.crews.pop(crew.spec.name, None)

    def workers(self) -> list[Worker]:
        return [worker for crew in self.crews.values() for worker in crew.staff.workers.values()]

    def busy(self) -> int:
        """Workers that hold an event."""
        return sum(1 for worker in self.workers() if worker.state == BUSY)

    def status(self) -> dict[str, dict[str, Any]]:
        return {name: crew.status() for name, crew in self.crews.items()}

    def _open(self, spec: FunctionSpec, *, gone: bool = False) -> Crew:
        crew = self.crews[spec.name] = self._hire(spec)
        crew.staff.aim.override(self.by_hand.get(spec.name))
        crew.line.behind = self._admission.behind(spec.name)
        crew.gone = gone
        crew.fill()
        return crew
