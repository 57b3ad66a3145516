"""What happened to an object, for `kubectl describe` and `kubectl get events`.

Enters: a word, as often as it happens. Leaves: Events of the core API, one for each object and reason, with a count.
Guarantee: however often something happens, an Event is written again no sooner than `AGAIN` after the last time, all together
no more than `BURST` at once and `PER_MINUTE` in the long run; what waits is counted together, at most `MOST` of them, and what
does not fit is counted as dropped. Nothing waits for it.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from edge_agent.adapters.cluster_kubernetes.api import Connection, Json
from edge_agent.errors import EdgeError, NotFound, Unavailable
from edge_agent.manifests.documents import API_VERSION
from edge_agent.manifests.references import Key
from edge_agent.manifests.resources import Resource

log = logging.getLogger(__name__)

AGAIN = 30.0
"""Seconds between two writes of one Event."""
BURST, PER_MINUTE = 30, 20
MOST = 200
KEPT = 3600.0
"""Seconds after which a series begins anew; the cluster forgets Events after half an hour or so itself."""
LONGEST = 1024
"""Characters of a message (events.k8s.io/v1, note)."""
Series = tuple[str, Key, str]
"""(uid of the object, its kind and name, reason)."""


@dataclass(slots=True)
class _Told:
    """One Event as the cluster has it."""

    name: str
    count: int
    at: float


@dataclass(slots=True)
class _Waiting:
    type: str
    message: str
    count: int = 1


class Happenings:
    """`say` from any thread; one thread writes."""

    def __init__(self, connection: Connection, namespace: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.dropped = 0
        self._connection = connection
        self._namespace = namespace
        self._clock = clock
        self._waiting: dict[Series, _Waiting] = {}
        self._told: dict[Series, _Told] = {}
        self._tokens, self._filled = float(BURST), clock()
        self._lock = threading.Lock()
        self._instance = socket.gethostname()

    def say(self, about: Resource, reason: str, message: str, *, warning: bool = False) -> None:
        """It happened once (more)."""
        series = (about.uid, about.key, reason)
        with self._lock:
            if (waiting := self._waiting.get(series)) is not None:
                waiting.count += 1
                waiting.message = message
            elif len(self._waiting) >= MOST:
                self.dropped += 1
            else:
                self._waiting[series] = _Waiting("Warning" if warning else "Normal", message)

    def write(self, *, now: bool = False) -> None:
        """Write what is due; `now`: all that waits, for it is the last time. Errors: `Unavailable`; what was not written
        waits on."""
        moment = self._clock()
        self._tokens = min(float(BURST), self._tokens + (moment - self._filled) * PER_MINUTE / 60)
        self._filled = moment
        self._told = {series: told for series, told in self._told.items() if moment < told.at + KEPT}
        with self._lock:
            due = [s for s in self._waiting if now or s not in self._told or moment >= self._told[s].at + AGAIN]
        for series in due:
            if self._tokens < 1:
                return
            self._tokens -= 1
            with self._lock:
                waiting = self._waiting.pop(series)
            try:
                self._write(series, waiting, moment)
            except Unavailable:
                with self._lock:
                    later = self._waiting.setdefault(series, waiting)
                    if later is not waiting:
                        later.count += waiting.count
                raise
            except EdgeError as error:
                self.dropped += waiting.count
                log.warning("what happened to %s %s cannot be told: %s", *series[1], error)

    def _write(self, series: Series, waiting: _Waiting, now: float) -> None:
        told = self._told.get(series)
        if told is not None:
            try:
                self._connection.merge(self._path(told.name), {
                    "count": told.count + waiting.count, "lastTimestamp": _stamp(), "message": waiting.message[:LONGEST]
                })  # fmt: skip
            except NotFound:
                del self._told[series]  # the cluster has forgotten it
            else:
                told.count += waiting.count
                told.at = now
                return
        name = f"{series[1][1]}.{time.time_ns():x}"
        self._connection.create(self._path(), self._event(name, series, waiting))
        self._told[series] = _Told(name, waiting.count, now)

    def _event(self, name: str, series: Series, waiting: _Waiting) -> Json:
        uid, (kind, about), reason = series
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": self._namespace},
            "involvedObject": {
                "apiVersion": API_VERSION, "kind": kind, "namespace": self._namespace, "name": about, "uid": uid
            },
            "type": waiting.type,
            "reason": reason,
            "message": waiting.message[:LONGEST],
            "firstTimestamp": _stamp(),
            "lastTimestamp": _stamp(),
            "count": waiting.count,
            "source": {"component": "edge-agent"},
            "reportingComponent": "edge-agent",
            "reportingInstance": self._instance,
        }  # fmt: skip

    def _path(self, name: str = "") -> str:
        path = f"/api/v1/namespaces/{self._namespace}/events"
        return f"{path}/{name}" if name else path


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
