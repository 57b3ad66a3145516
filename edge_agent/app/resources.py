"""Functions and rules of the cluster, beside the files': what is applied there holds here a moment later.

Enters: the objects as they are followed. Leaves: what to live by (`join`), and how each object is (`views`).
Guarantee: nothing is lost by a change, for `Declared` swaps the whole set as it does on a reload. A new version of a function
that serves has to start before it takes over (`engine.functions.rollout`); one that cannot is tried again, later each time.
The versions that hold are on disk, so that a start without the cluster has them; what was not seen deleted is not deleted.
Changes that come together are one swap: `QUIET` seconds without another, `LONGEST` at most.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from edge_agent.app.allowed import by_cluster
from edge_agent.app.parts import Parts
from edge_agent.app.resource_states import Trial, View
from edge_agent.app.served import Served
from edge_agent.domain.function import FunctionSpec
from edge_agent.engine.functions.rollout import REPLACED, STOPPING
from edge_agent.engine.functions.staff import same_program
from edge_agent.manifests import KINDS, Manifests
from edge_agent.manifests.references import Key
from edge_agent.manifests.resources import Joined, Resource, join

log = logging.getLogger(__name__)

QUIET, LONGEST = 0.2, 2.0
FIRST_RETRY, LAST_RETRY = 30.0, 600.0
"""Seconds until a version that could not start is tried once more; doubled each time."""


class Following(Protocol):
    """The objects as the cluster has them."""

    def there(self, kind: str) -> Mapping[str, Resource] | None:
        """{name: object}; None while they have never been listed."""

    def due(self) -> float | None:
        """When something changes without a word, monotonic seconds."""

    def status(self, key: Key) -> Mapping[str, Any]:
        """What an object's status said when it was last seen."""


class Happenings(Protocol):
    """Who is told what happens."""

    def say(self, about: Resource, reason: str, message: str, *, warning: bool = False) -> None: ...


class Resources:
    """`manifests.Beside`."""

    def __init__(self, parts: Parts, following: Following, happenings: Happenings) -> None:
        self.renew: Callable[[], None] = lambda: None
        """Has `join` called with the files that hold, and what it returns lived by."""
        self.views: Mapping[Key, View] = {}
        """Of the objects that were seen since the start; made anew by each `join`."""
        self._parts = parts
        self._following = following
        self._say = happenings.say
        self._kept = Served(parts.settings.data.dir / "cluster-manifests.json")
        self._served: Mapping[Key, Resource] = self._kept.load()
        self._joined = Joined()
        self._trials: dict[Key, Trial] = {}
        self._running = False
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="resources", daemon=True)

    def start(self) -> None:
        """From now on changes are lived by. The engine runs already."""
        self._running = True
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(10.0)

    def changed(self) -> None:
        """Something is another than before. Any thread; returns at once."""
        self._wake.set()

    def serving(self, function: str) -> FunctionSpec | None:
        """The version of it that holds."""
        return self._joined.manifests.functions.get(function)

    # -- what to live by (one call at a time: `Declared` sees to it)

    def join(self, files: Manifests) -> Manifests:
        """The files' and the cluster's."""
        there = self._there()
        joined = self._judge(files, there)
        if held := self._held(joined):
            steady = self._judge(files, [each for each in there if each.key not in held] + list(held.values()))
            verdicts = {**steady.verdicts, **{key: joined.verdicts[key] for key in held}}
            joined = Joined(steady.manifests, steady.serving, verdicts)
        self._joined, self._served = joined, joined.serving
        self._kept.keep(self._served)
        self._show(there)
        return joined.manifests

    def _there(self) -> list[Resource]:
        """As the cluster has them; of a kind that it could not be asked for yet, what served last."""
        found: list[Resource] = []
        for kind in KINDS:
            listed = self._following.there(kind)
            found += (
                (each for each in self._served.values() if each.kind == kind) if listed is None else listed.values()
            )
        return found

    def _judge(self, files: Manifests, there: list[Resource]) -> Joined:
        settings = self._parts.settings
        allow = partial(by_cluster, settings)
        return join(files, there, self._served, defaults=settings.function_defaults, allow=allow)

    # -- new versions

    def _held(self, joined: Joined) -> dict[Key, Resource]:
        """The versions that go on because what is to follow has not shown yet that it can start."""
        held: dict[Key, Resource] = {}
        for key in [key for key, trial in self._trials.items() if joined.serving.get(key) != trial.resource]:
            del self._trials[key]
        for key, new in joined.serving.items():
            old = self._served.get(key)
            if key[0] != "Function" or old is None or old == new or old.uid != new.uid or not self._running:
                continue
            before, after = self._joined.manifests.functions.get(new.name), joined.manifests.functions[new.name]
            if before is not None and not same_program(before, after) and not self._passed(key, new, after):
                held[key] = old
        return held

    def _passed(self, key: Key, new: Resource, spec: FunctionSpec) -> bool:
        """Has it shown that it can start? If nobody has tried, or long ago, it is tried now."""
        trial = self._trials.get(key)
        if trial is not None and trial.state == "passed":
            del self._trials[key]
            self._say(new, "RolledOut", f"generation {new.generation} serves")
            return True
        if trial is None or (trial.state == "failed" and trial.retry_at <= time.monotonic()):
            self._trials[key] = fresh = Trial(new, failures=trial.failures if trial else 0)
            self._parts.engine.rollout(spec, partial(self._tried, key, fresh))
        return False

    def _tried(self, key: Key, trial: Trial, reason: str | None) -> None:
        """How it went; on the engine's thread."""
        if reason == STOPPING:
            return
        if self._trials.get(key) is not trial:
            if reason is None:  # it took over, and meanwhile it is no longer wanted
                self.changed()
            return
        if reason is None:
            trial.state = "passed"
        elif reason == REPLACED:
            del self._trials[key]
        else:
            wait = min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(trial.failures, 10))
            trial.failures += 1
            trial.reason, trial.retry_at, trial.state = reason, time.monotonic() + wait, "failed"
            words = f"generation {trial.resource.generation} cannot start, the version before it goes on: {reason}"
            self._say(trial.resource, "RolledBack", words, warning=True)
        self.changed()

    # -- how they are

    def _show(self, there: list[Resource]) -> None:
        """For statuses, Events and the page."""
        joined, views = self._joined, dict[Key, View]()
        for each in there:
            if self._following.there(each.kind) is None:
                continue
            views[each.key] = view = View(
                each, joined.verdicts[each.key], joined.serving.get(each.key), self._trials.get(each.key)
            )
            before = self.views.get(each.key)
            known = before is not None and (before.resource, before.verdict) == (each, view.verdict)
            if not known and (before is not None or not self._told(view)):
                self._tell(view)
        self.views = views
        bad = [
            f"{view.resource.kind} {view.resource.name}: {view.verdict}"
            for view in views.values()
            if view.verdict.reason
        ]
        more = f"; and {len(bad) - 3} more" if len(bad) > 3 else ""
        summary = f"the cluster has manifests with faults, the others go on: {'; '.join(bad[:3])}{more}" if bad else ""
        self._parts.alarms.set("cluster-manifests", summary[:2000])

    def _told(self, view: View) -> bool:
        """Did the agent say so before it was started anew?"""
        status = self._following.status(view.resource.key)
        accepted = [each.get("status") for each in status.get("conditions", ()) if each.get("type") == "Accepted"]
        now = "False" if view.verdict.reason else "True"
        return status.get("observedGeneration") == view.resource.generation and accepted == [now]

    def _tell(self, view: View) -> None:
        if view.verdict.reason:
            self._say(view.resource, "Rejected", f"{view.verdict}{view.meanwhile}", warning=True)
        else:
            self._say(view.resource, "Accepted", f"generation {view.resource.generation} is valid")

    # -- the thread

    def _run(self) -> None:
        again: float | None = None
        while not self._stopping.is_set():
            due = [moment for moment in (self._following.due(), again, *self._retries()) if moment is not None]
            self._wake.wait(max(0.0, min(due) - time.monotonic()) if due else None)
            until = time.monotonic() + LONGEST
            while self._wake.is_set() and time.monotonic() < until and not self._stopping.is_set():
                self._wake.clear()
                self._wake.wait(QUIET)
            self._wake.clear()
            if self._stopping.is_set():
                return
            try:
                self.renew()
                again = None
            except Exception:
                log.exception("what the cluster declares could not be taken over; it is tried again")
                again = time.monotonic() + 5.0

    def _retries(self) -> list[float]:
        return [trial.retry_at for trial in list(self._trials.values()) if trial.state == "failed"]
