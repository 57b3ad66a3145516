"""What the cluster is told of its functions and rules: statuses and Events.

Enters: how each object is, what the engine and the rules do. Leaves: statuses, a look each second, written as `Statuses` sees
fit; Events. Guarantee: nothing here holds up a reading, an event or a change of manifests; while the cluster is away nothing
piles up. Stopped, the agent writes what waits, and leaves `Ready` as Unknown.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from edge_agent.app.parts import Parts
from edge_agent.app.resource_states import Json, Seen, View, camel, function_status, rule_status, stopped
from edge_agent.app.resources import Resources
from edge_agent.domain.alert import Alert
from edge_agent.domain.invocation import Failed, Invocation, Settlement
from edge_agent.errors import EdgeError, Unavailable
from edge_agent.manifests.references import Key
from edge_agent.manifests.resources import Resource

log = logging.getLogger(__name__)

EVERY = 1.0
FAREWELL = 5.0
"""Seconds a stop waits for the last word to the cluster."""
AWAY = 60.0
"""Seconds without the cluster after which people are told."""


class Cluster(Protocol):
    """What is written to and seen of the cluster."""

    @property
    def away(self) -> str:
        """Why what happens there cannot be seen now; "" when it can."""

    def status(self, key: Key) -> Json:
        """What an object's status said when it was last seen."""


class Statuses(Protocol):
    def write(self, wanted: Mapping[Key, tuple[str, Json]], *, now: bool = False) -> None: ...


class Happenings(Protocol):
    def say(self, about: Resource, reason: str, message: str, *, warning: bool = False) -> None: ...
    def write(self, *, now: bool = False) -> None: ...


class Reports:
    """One thread of its own. `settled`, `fired` and `dispatched` are called by those who do it, and are quick."""

    def __init__(
        self, parts: Parts, resources: Resources, cluster: Cluster, statuses: Statuses, happenings: Happenings
    ) -> None:
        self._parts = parts
        self._resources = resources
        self._cluster = cluster
        self._statuses = statuses
        self._happenings = happenings
        self._seen: dict[str, Seen] = {}
        self._fired: dict[str, int] = {}
        self._troubles: dict[str, str] = {}
        self._away_since = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reports", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """While the engine can still be asked."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(FAREWELL)

    # -- what happens

    def settled(self, settlement: Settlement, invocation: Invocation) -> None:
        """An attempt has ended; on the engine's thread."""
        if settlement.state != "dead" or not isinstance(settlement.outcome, Failed):
            return
        view = self._resources.views.get(("Function", settlement.function))
        if view is not None:
            seen = self._of(settlement.function)
            seen.dead += 1
            seen.dead_reason = f"dead letter {settlement.id}: {settlement.outcome.reason}"
            self._happenings.say(view.resource, "DeadLettered", seen.dead_reason, warning=True)

    def fired(self, alerts: Sequence[Alert]) -> None:
        """Rules fire, or are over."""
        for alert in alerts:
            if alert.state == "firing":
                self._fired[alert.rule] = alert.since

    def dispatched(self, invocations: Sequence[Invocation]) -> None:
        """Functions are to run; a rule with `every` makes no alert."""
        for invocation in invocations:
            if invocation.cause.startswith("rule:"):
                self._fired[invocation.cause[5:]] = invocation.created

    # -- the thread

    def _run(self) -> None:
        pause = EVERY
        while not self._stopping.wait(pause):
            pause = EVERY
            try:
                if not self._there():
                    continue
                self._statuses.write(self._wanted())
                self._happenings.write()
            except Unavailable as error:
                pause = max(EVERY, error.delay)
            except Exception:
                log.exception("the cluster could not be told how its functions and rules are")
                pause = 30.0
        try:
            if self._there():
                wanted = self._wanted()
                self._statuses.write({key: (uid, stopped(status)) for key, (uid, status) in wanted.items()}, now=True)
                self._happenings.write(now=True)
        except EdgeError as error:
            log.info("the cluster could not be told that the agent stops: %s", error)

    def _there(self) -> bool:
        """Can the cluster be told? That it cannot for long is told on the page."""
        why = self._cluster.away
        if not why:
            self._away_since = time.monotonic()
        long = why and time.monotonic() > self._away_since + AWAY
        words = f"functions and rules of the cluster are not followed, those known last go on: {why}" if long else ""
        self._parts.alarms.set("cluster-away", words)
        return not why

    def _wanted(self) -> dict[Key, tuple[str, Json]]:
        views = self._resources.views
        engine = self._parts.engine.status() if any(kind == "Function" for kind, _ in views) else {}
        with self._parts.pipeline.lock:
            firing = Counter(each.rule for each in self._parts.pipeline.rules.firing())
        wanted: dict[Key, tuple[str, Json]] = {}
        for key, view in views.items():
            if key[0] == "Function":
                status = self._function(view, engine.get(key[1]))
            else:
                status = rule_status(view, firing[key[1]], self._last_fired(key))
            wanted[key] = view.resource.uid, status
        return wanted

    def _function(self, view: View, state: Mapping[str, Any] | None) -> Json:
        name = view.resource.name
        spec = self._resources.serving(name)
        seen = self._of(name)
        version = str(view.serving)
        if seen.version != version:
            seen.version, seen.ready = version, False
        trouble = str(state.get("last_error", "")) if state else ""
        if trouble and self._troubles.get(name) != trouble:
            kind = camel(str(state.get("last_error_kind", ""))) if state else ""
            self._happenings.say(view.resource, kind or "StartFailed", trouble, warning=True)
        self._troubles[name] = trouble
        return function_status(view, spec, state, seen=seen)

    def _of(self, function: str) -> Seen:
        """Made anew when there are many of functions that are no more."""
        if function not in self._seen and len(self._seen) > 2 * len(self._resources.views) + 10:
            self._seen.clear()
        return self._seen.setdefault(function, Seen())

    def _last_fired(self, key: Key) -> str:
        if (at := self._fired.get(key[1])) is not None:
            return datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return str(self._cluster.status(key).get("lastFired") or "")
