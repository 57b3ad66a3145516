"""The appliance: every part started in order, watched, and stopped so that nothing is lost.

Order matters at start: what was known is restored before anything new is heard, and functions run before the broker may
send events for them. At stop it is the other way round. `kill -9` at any instant is an ordinary way to stop.
"""

from __future__ import annotations

import fcntl
import gc
import logging
import sys
import threading
from collections.abc import Sequence
from typing import IO

import msgspec

from edge_agent.app import cluster, parts, restore, usage, workers
from edge_agent.app.actions import Actions
from edge_agent.app.clock import now_ms
from edge_agent.app.deployments import Deployments
from edge_agent.app.manifests import Declared
from edge_agent.app.queries import Queries
from edge_agent.domain.alert import Alert
from edge_agent.domain.invocation import Failed, Invocation, Settlement
from edge_agent.domain.reading import Sample
from edge_agent.engine import rates
from edge_agent.engine.drain import BEGIN_AT
from edge_agent.engine.jobs import Jobs
from edge_agent.errors import Conflict, EdgeError
from edge_agent.runtime_api.server import RuntimeServer
from edge_agent.settings import Settings

__all__ = ["Appliance"]

log = logging.getLogger(__name__)

HEARTBEAT = 30.0
"""Seconds between `appliance/status` messages; a board that misses a few knows that the Pi is dead (INTERFACE: Topics)."""
QUIET = 2000
"""Milliseconds without a message after which a backlog counts as drained."""


class Appliance(Queries, Actions):
    """`web.appliance.Appliance`, for real."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.site = settings.site
        self.started = now_ms()
        self._lock_file = self._only_one()
        self.parts = parts.build(settings, self, self._session)
        self._cluster = cluster.make(self.parts)
        self.declared = Declared(self.parts, self._cluster.resources if self._cluster else None)
        self.deployments = Deployments(self.parts, self.declared)
        engine = self.parts.engine
        self._runtime = RuntimeServer(engine)
        self.runner = engine.runner = workers.make(self.parts, self._runtime, lambda: self.declared.functions)
        self._jobs = Jobs()
        self._drain_now = threading.Event()
        self._stopping = threading.Event()
        self._waiting_for_history = 0
        self._drainer = threading.Thread(target=self._keep_draining, name="drain", daemon=True)
        self._averager = threading.Thread(target=self._keep_averaging, name="averages", daemon=True)

    # -- life

    def start(self) -> None:
        """Restore, then listen. Errors: `Invalid` (manifests, when there is no earlier good set), `Conflict`."""
        p = self.parts
        # A batch being decoded would otherwise hold up a waiting worker for five milliseconds (the interpreter's default).
        sys.setswitchinterval(0.001)
        # What is there now stays; looking through it again and again for cycles was a twentieth of the processor time.
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 20, 20)
        restore.begin(p)
        self.declared.begin()
        p.engine.listeners.append(self._settled)
        p.engine.printing.append(p.logbook.heard)
        usage.begin(p)
        p.loop.start()
        p.engine.start(self.declared.functions)
        if self._cluster:
            self._cluster.start(self.declared.renew)
        self._jobs.every(0.25, self._tick)
        self._jobs.every(0.5, self._announce)
        self._jobs.every(HEARTBEAT, self._heartbeat)
        self._jobs.every(60.0, self._keep_books)
        self._jobs.every(rates.EVERY, lambda: p.alarms.set("trigger-rate", p.rates.look()))
        self._jobs.every(3600.0, self._trim)
        p.engine.stats.observe_duration = p.durations
        p.engine.stats.observe_init = p.inits
        self._jobs.start()
        self._drainer.start()
        self._averager.start()
        p.broker.start()

    def stop(self) -> None:
        """Take nothing more in, finish what is on its way, leave the rest on disk. Also after a start that failed."""
        p = self.parts
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._jobs.stop()
        if self._cluster:
            self._cluster.stop()
        p.broker.stop(farewell=(p.topics.status, b'{"state":"offline"}'))
        p.engine.close(grace=1.0)
        p.loop.ask(self._runtime.close_all)
        p.loop.close()
        p.scaled.keep()
        usage.keep(p)
        self._drain_now.set()
        if self._drainer.is_alive():
            self._drainer.join(15.0)
        p.journal.close()
        p.history.close()
        self._lock_file.close()

    def _only_one(self) -> IO[str]:
        """Two agents on one data folder would write over each other."""
        self.settings.data.dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.settings.data.dir.chmod(0o700)
        file = (self.settings.data.dir / "agent.lock").open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise Conflict(
                f"another agent already works in {self.settings.data.dir}; stop it, or give this one another folder (--data)"
            ) from error
        return file

    # -- what follows a commit (called on the journal's thread, in order)

    def dispatch(self, invocations: Sequence[Invocation]) -> None:
        self.parts.engine.submit(invocations)
        if self._cluster:
            self._cluster.reports.dispatched(invocations)

    def tell(self, alerts: Sequence[Alert]) -> None:
        self.parts.teller.tell(alerts)
        if self._cluster:
            self._cluster.reports.fired(alerts)
        for alert in alerts:
            words = alert.message if alert.state == "firing" else f"over: {alert.ended}"
            log.info("%s%s", "past " if alert.late else "", words, extra={"id": alert.id})
            self.parts.news.publish("alert", self.show_alert(alert))

    def awaited(self) -> bool:
        return bool(self.parts.waiters)

    def stored(self, samples: Sequence[Sample], repeats: Sequence[Sample]) -> None:
        self.parts.waiters.stored(samples)
        self.parts.waiters.stored(repeats)
        self._waiting_for_history += len(samples)
        if self._waiting_for_history >= BEGIN_AT:
            self._drain_now.set()

    def _settled(self, settlement: Settlement, invocation: Invocation) -> None:
        if isinstance(settlement.outcome, Failed):
            words = "%s %s (attempt %d, %s)"
            number, reason = settlement.attempt.number, settlement.outcome.reason
            log.warning(words, settlement.function, reason, number, settlement.state, extra={"id": settlement.id})
        if self.parts.news:
            self.parts.news.publish(
                "invocation",
                {
                    "id": settlement.id,
                    "function": settlement.function,
                    "state": settlement.state,
                    "cause": invocation.cause,
                    "created_at": invocation.created,
                    "ended_at": settlement.at,
                    "attempts": settlement.attempt.number,
                    "reason": getattr(settlement.outcome, "reason", ""),
                },
            )

    # -- what happens by itself

    def _session(self, present: bool) -> None:
        """Connected. What is retained may be gone with a broker that forgot us, or never have reached it: publish it."""
        self._heartbeat()
        self.parts.teller.tell_again(self.parts.alarms.raised())

    def _heartbeat(self) -> None:
        if self.parts.broker.connected:
            body = {"state": "online", "t": now_ms(), "version": self.version}
            self.parts.broker.publish(self.parts.topics.status, msgspec.json.encode(body), retain=True)

    def _tick(self) -> None:
        self.parts.pipeline.tick(now_ms(), self._drained())

    def _drained(self) -> bool:
        """Whether silence means anything: we can hear, and what we hear is current."""
        broker, now = self.parts.broker, now_ms()
        if not broker.connected or now - broker.connected_since < 2 * QUIET or self.parts.journal.writer.trouble:
            return False
        return (
            now - broker.last_received > QUIET or self.parts.pipeline.lateness < self.settings.rules.late_after * 1000
        )

    def _announce(self) -> None:
        if self.parts.news:
            for device in self.parts.devices.changed():
                self.parts.news.publish("device", device.show())

    def _keep_books(self) -> None:
        self.parts.scaled.keep()
        usage.keep(self.parts)
        self.parts.journal.bound_dead_letters()

    def _trim(self) -> None:
        self.deployments.tidy()
        self.parts.journal.trim(now_ms() - int(self.settings.history.keep_raw * 1000))

    def _keep_averaging(self) -> None:
        """Daily: each time writes a page or two for every device. On a thread of its own, for it may take minutes."""
        wait = 3600.0
        while not self._stopping.wait(wait):
            try:
                self.parts.history.trim(now_ms() - int(self.settings.history.keep_raw * 1000))
                wait = 86_400.0
            except EdgeError as error:
                wait = 3600.0
                if not self._stopping.is_set():
                    log.warning("old readings are averaged later, the history cannot do it now: %s", error)

    def _keep_draining(self) -> None:
        while True:
            self._drain_now.wait(self.settings.journal.drain_every)
            self._drain_now.clear()
            self._waiting_for_history = 0
            self.parts.drain.run()
            if self._stopping.is_set():
                return
