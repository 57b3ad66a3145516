"""How each object is, written into its status: only when it is another than before, and never often.

Enters: the status each object should have, every second or so. Leaves: JSON merge patches on the status subresource.
Guarantee: a condition is written within `SOON` of its change, a mere count the later the longer it keeps changing, up to
`SELDOM`: each write is one on the cluster's disk, and a busy function's counts never rest. What holds in the end is written.
While the API server is away nothing piles up: what matters is only how things are when it is back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from edge_agent.adapters.cluster_kubernetes.api import Connection, Json
from edge_agent.adapters.cluster_kubernetes.manifests.following import Following, path_of
from edge_agent.errors import Conflict, EdgeError, NotFound, Refused, Unavailable
from edge_agent.manifests.references import Key

log = logging.getLogger(__name__)

SOON, SELDOM = 3.0, 30.0
"""Seconds between two writes of one object: at least, and at most while nothing but counts change."""
_COUNTS = ("workers", "queued", "ready", "deadLetters", "firing", "lastFired")


@dataclass(slots=True)
class _Pace:
    uid: str
    written: Json
    at: float
    gap: float = SOON


class Statuses:
    """One thread writes. `writes` counts the patches made."""

    def __init__(
        self, connection: Connection, following: Following, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.writes = 0
        self._connection = connection
        self._following = following
        self._clock = clock
        self._paces: dict[Key, _Pace] = {}
        self._refused = ""

    def write(self, wanted: Mapping[Key, tuple[str, Json]], *, now: bool = False) -> None:
        """{key: (uid, status)} of every object there is; `now`: whatever was written a moment ago, for it is the last time.

        `conditions` come without lastTransitionTime. Errors: `Unavailable`; what was not written is tried at the next call.
        """
        for gone in self._paces.keys() - wanted.keys():
            del self._paces[gone]
        for key, (uid, status) in wanted.items():
            pace = self._paces.get(key)
            known = pace.written if pace and pace.uid == uid else self._following.status(key)
            dated = {**status, "conditions": dated_conditions(status["conditions"], known.get("conditions") or [])}
            if same(dated, known):
                continue
            counts_only = same(_without_counts(dated), _without_counts(known))
            moment = self._clock()
            if pace and pace.uid == uid and not now and moment < pace.at + (pace.gap if counts_only else SOON):
                continue
            gap = min(SELDOM, pace.gap * 2) if pace and counts_only and moment < pace.at + 2 * pace.gap else SOON
            if self._patch(key, uid, dated):
                self._paces[key] = _Pace(uid, dated, moment, gap)

    def _patch(self, key: Key, uid: str, status: Json) -> bool:
        change = {"metadata": {"uid": uid}, "status": status}  # of this very object: another of its name is a Conflict
        try:
            self._connection.merge(path_of(self._following.namespace, *key) + "/status", change)
        except (NotFound, Conflict):
            return True  # deleted a moment ago
        except Refused as error:
            if str(error) != self._refused:
                log.warning("the status of %s %s cannot be written: %s", *key, error)
                self._refused = str(error)
            return True  # no use in trying again before it is another
        except Unavailable:
            raise
        except EdgeError as error:
            log.warning("the status of %s %s cannot be written: %s", *key, error)
            return False
        self.writes += 1
        return True


def dated_conditions(wanted: list[Json], known: list[Json]) -> list[Json]:
    """With lastTransitionTime, which changes when `status` does (Kubernetes API Conventions, Typical status properties)."""
    before = {condition.get("type"): condition for condition in known}
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    dated = []
    for condition in wanted:
        old = before.get(condition["type"], {})
        since = old.get("lastTransitionTime", now) if old.get("status") == condition["status"] else now
        dated.append({**condition, "lastTransitionTime": since})
    return dated


def same(wanted: Any, known: Any) -> bool:
    """Would the patch change nothing? None takes a field away."""
    if isinstance(wanted, dict):
        return isinstance(known, dict) and all(same(value, known.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(known, list) and len(known) == len(wanted) and all(map(same, wanted, known))
    return bool(wanted == known)


def _without_counts(status: Json) -> Json:
    return {key: value for key, value in status.items() if key not in _COUNTS}
