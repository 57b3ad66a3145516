"""Which machine's time has come: timers in a heap, cheap to ask when nothing is due.

Entries are never taken out of the middle. When a machine's time has moved later its old entry finds out when its turn
comes; `missingFor` moves at every reading, and would otherwise cost a heap operation each. A machine whose answer may be in
the backlog (`Machine.patient`) is put aside until the backlog has drained.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush

from edge_agent.domain.rules.machine import Machine


class Agenda:
    """One entry per waiting machine: (due epoch ms, order of planning, machine)."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Machine]] = []
        self._aside: dict[Machine, None] = {}
        self._planned = 0

    def plan(self, machine: Machine) -> None:
        """Note when `machine` wakes; call again when that may have become earlier."""
        due = machine.wakes()
        if due is None or (machine.queued is not None and machine.queued <= due):
            return
        self._planned += 1
        machine.queued = due
        heappush(self._heap, (due, self._planned, machine))

    def drop(self, machine: Machine) -> None:
        """It is gone; what the heap still has of it is skipped."""
        machine.queued = None
        self._aside.pop(machine, None)

    def next(self, drained: bool) -> int | None:
        """The earliest moment at which a machine may have something to do, epoch ms."""
        if drained:
            self._take_up()
        while self._heap:
            due, _, machine = self._heap[0]
            if machine.queued == due == machine.wakes():
                return due
            heappop(self._heap)
            self._postpone(machine, due)
        return None

    def due(self, now: int, drained: bool) -> Iterator[Machine]:
        """The machines whose moment is not after `now`, earliest first. Plan each again after its tick."""
        if drained:
            self._take_up()
        while self._heap and self._heap[0][0] <= now:
            due, _, machine = heappop(self._heap)
            if machine.queued != due or machine.wakes() != due:
                self._postpone(machine, due)
                continue
            machine.queued = None
            if machine.patient() and not drained:
                self._aside[machine] = None
            else:
                yield machine

    def _take_up(self) -> None:
        aside, self._aside = self._aside, {}
        for machine in aside:
            self.plan(machine)

    def _postpone(self, machine: Machine, due: int) -> None:
        if machine.queued == due:
            machine.queued = None
            self.plan(machine)
