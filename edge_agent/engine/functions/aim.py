"""How many workers a function is to have: the hour, the operator, the last minute and the present queue, put together.

Enters: the manifest; the wall clock; how many events are in work and queued; who there is. Leaves: how many to start, how
many idle ones to let go, and when to ask again. Pure: times are arguments.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edge_agent.domain.function import FunctionSpec
from edge_agent.engine.functions import pool
from edge_agent.engine.functions.demand import Demand
from edge_agent.engine.functions.minimum import Minimum


class Aim:
    """Of one function, from `now` (monotonic seconds) on. `look` comes before everything else."""

    def __init__(self, spec: FunctionSpec, now: float) -> None:
        self.spec = spec
        self.pace = pool.Pace()
        self.wish = pool.Wish()
        self.minimum = Minimum(spec.pool)
        self._demand = Demand(now)
        self.windows = self._demand.windows
        self.due = 0.0

    def replace(self, spec: FunctionSpec) -> None:
        """Another version; what was seen of the one before goes on to count, and an operator's word to hold."""
        self.spec = spec
        self.minimum.replace(spec.pool)

    def look(self, epoch: float) -> float:
        """What time is it (epoch seconds)? In how many seconds to look again (infinity: never)."""
        again = self.minimum.look(epoch)
        self._wish()
        return again

    def override(self, min_idle: int | None) -> None:
        """An operator's word on how many wait; None: the manifest's again."""
        self.minimum.override = min_idle
        self._wish()

    def decide(self, now: float, ready: int) -> float:
        """Look at the windows anew, with so many workers `ready`, if `now` is `due`; when it will be (infinity: when
        something happens)."""
        if now >= self.due:
            again = self._demand.decide(now, ready, self.pace.start)
            self.due = again or 0.0
            self._wish()
        return self.due or float("inf")

    def _wish(self) -> None:
        most, demand = self.spec.pool.max_workers, self._demand
        min_idle = min(self.minimum.now, most)
        ahead = min(demand.ahead, most - min_idle)
        self.wish = pool.Wish(min_idle, min(demand.desired, most), ahead, demand.recent, demand.panic)

    def wanted(self, census: pool.Census, queued: int) -> int:
        return pool.wanted(self.spec, census, queued, self.pace, self.wish)

    def missing(self, census: pool.Census, queued: int) -> int:
        return pool.to_start(self.spec, census, queued, self.pace, self.wish)

    def pressing(self, census: pool.Census, queued: int) -> int:
        """How many of the missing ones are for events that wait now; the others are to wait in advance."""
        return pool.to_start(self.spec, census, queued, self.pace, pool.Wish()) if queued else 0

    def surplus(self, census: pool.Census, idle_since: Iterable[float], now: float) -> int:
        return pool.to_let_go(self.spec, census, self.wish, idle_since, now)

    def status(self) -> dict[str, Any]:
        """See `Crew.status`."""
        demand = self._demand
        return {
            "min_idle": self.wish.min_idle,
            "schedule": self.minimum.status(),
            "override": self.minimum.override,
            "concurrency": {
                "stable": round(demand.stable.concurrency, 2),
                "panic": round(demand.panicking.concurrency, 2),
            },
            "panic": demand.panic,
        }
