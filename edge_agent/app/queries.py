"""What the appliance answers about itself: the reading half of `web.appliance.Appliance`."""

from __future__ import annotations

from datetime import UTC, datetime
from queue import Queue
from typing import TYPE_CHECKING, Any

import msgspec

from edge_agent import __version__
from edge_agent.app import metrics, trace
from edge_agent.app.clock import now_ms
from edge_agent.app.functions import Functions
from edge_agent.app.parts import Parts, silenced
from edge_agent.app.workers import Workers
from edge_agent.domain.alert import Alert
from edge_agent.domain.rules.replay import replay
from edge_agent.errors import NotFound
from edge_agent.manifests.writing import version as version_of

if TYPE_CHECKING:
    from edge_agent.app.manifests import Declared

Json = dict[str, Any]


class Queries(Functions):
    """Needs `parts`, `declared` and `started` of the appliance."""

    parts: Parts
    declared: Declared
    started: int
    site: str
    runner: Workers
    version = __version__

    # -- devices and readings

    def devices(self) -> list[Json]:
        return [device.show() for device in self.parts.devices.all()]

    def device(self, name: str) -> Json:
        found = self.parts.devices.get(name)
        if found is None:
            raise NotFound(f"no device {name} has been heard of")
        return found.show()

    def readings(self, device: str, reading: str, since: int, until: int, step: int = 0) -> list[Json]:
        known = self.device(device)["readings"]
        if reading and reading not in known:
            raise NotFound(f"{device} has no reading {reading}; it has {', '.join(known) or 'none'}")
        if reading:
            return self._rows(device, reading, since, until, step)
        names = sorted(known)
        return [row | {"reading": name} for name in names for row in self._rows(device, name, since, until, step)]

    def _rows(self, device: str, reading: str, since: int, until: int, step: int) -> list[Json]:
        readings = self.parts.readings
        if step:
            steps = readings.steps(device, reading, since, until, step)
            return [{"t": s.t, "mean": s.mean, "min": s.low, "max": s.high, "count": s.count} for s in steps]
        return [{"t": t, "value": value} for t, value in readings.raw(device, reading, since, until)]

    # -- rules and invocations

    def rules(self) -> list[Json]:
        book = self.parts.pipeline.rules
        with self.parts.pipeline.lock:
            firing, pending = book.firing(), book.pending()
        return [
            {
                "name": name,
                "manifest": document,
                "version": version_of(document),
                **self._origin(kind, name),
                "firing": [f.device for f in firing if f.rule == name],
                "pending": [p.device for p in pending if p.rule == name],
            }
            for (kind, name), document in sorted(self.declared.documents.items())
            if kind == "Rule"
        ]

    def replay_rule(self, name: str, since: int, until: int) -> Json:
        rule = self.parts.pipeline.rules.rules.get(name)
        if rule is None:
            raise NotFound(f"there is no rule {name}")
        readings, devices = self.parts.readings, self.parts.devices.all()
        samples = [sample for device in devices for sample in readings.samples(device.name, since, until)]
        result = replay(rule, samples, until=min(until, now_ms()))
        return {
            "rule": name,
            "samples": result.samples,
            "matches": [
                {
                    "state": m.state,
                    "device": m.device,
                    "at": m.at,
                    "value": m.value,
                    "message": m.message,
                    "late": m.late,
                }
                for m in result.matches
            ],
            "series": {device: [list(point) for point in series] for device, series in result.series.items()},
        }

    def invocations(self, *, function: str = "", state: str = "", limit: int = 100, cursor: str = "") -> Json:
        found, following = self.parts.journal.invocations(function=function, state=state, limit=limit, before=cursor)
        return {"items": [_short(item) for item in found], "cursor": following}

    def invocation(self, id: str) -> Json:
        found = self.parts.journal.invocation(id)
        if not found:
            raise NotFound(f"no invocation {id} is known; ended ones are kept for a while only")
        shown = [_long(item) for item in found]
        return shown[0] if len(shown) == 1 else shown[0] | {"others": shown[1:]}

    # -- alerts

    def alerts(self, *, state: str = "", limit: int = 100, cursor: str = "") -> Json:
        found, following = self.parts.journal.alerts(state=state, limit=limit, before=cursor)
        items = [self.show_alert(alert) for alert in found]
        if state in ("", "firing") and not cursor:
            items = [self.show_alert(alarm) for alarm in self.parts.alarms.raised()] + items
        return {"items": items, "cursor": following}

    def show_alert(self, alert: Alert) -> Json:
        unit = self.parts.devices.unit(alert.device, alert.reading)
        shown: Json = msgspec.to_builtins(alert)
        return shown | {
            "unit": unit,
            "silenced": silenced(self.parts.silences, alert, now_ms()),
        }

    # -- the appliance

    def trace(self, id: str) -> Json:
        return trace.trace(self.parts, id)

    def status(self) -> Json:
        p, now = self.parts, now_ms()
        waiting, oldest, size = p.journal.backlog()
        counters, broker = p.pipeline.counters, p.broker
        engine = p.engine.status()
        return {
            "version": self.version,
            "site": self.site,
            "time": datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="seconds"),
            "uptime_s": (now - self.started) // 1000,
            "broker": {
                "connected": broker.connected,
                "since": broker.connected_since or None,
                "address": f"{p.settings.mqtt.host}:{p.settings.mqtt.port}",
                "last_message_at": broker.last_received or None,
                "error": broker.last_error,
            },
            "journal": {
                "pending": p.journal.writer.pending,
                "waiting_for_history": waiting,
                "oldest_at": oldest or None,
                "bytes": size,
                "commits": p.journal.writer.commits,
                "trouble": p.journal.writer.trouble,
            },
            "history": {"store": p.settings.history.url.partition(":")[0], "error": p.drain.last_error},
            "devices": len(p.devices),
            "readings_stored": counters.stored,
            "rejected": dict(counters.rejected),
            "duplicates": p.pipeline.watermarks.duplicates,
            "lost_on_boards": p.pipeline.watermarks.lost,
            "rules": {
                "count": len(p.pipeline.rules.rules),
                "firing": len(p.pipeline.rules.firing()),
                "pending": len(p.pipeline.rules.pending()),
            },
            "functions": {name: dict(state) for name, state in engine.items()},
            "workers_limited_by": self.runner.limits,
            "dead_letters": {"count": p.journal.count_dead_letters(), "let_go": p.journal.dead_let_go},
            "alarms": [{"name": a.rule, "summary": a.message, "since": a.since} for a in p.alarms.raised()],
        }

    def checks(self) -> list[Json]:
        from edge_agent.app.checkup import checkup

        return checkup(self.parts, self.runner.standing())

    def ready(self) -> tuple[bool, str]:
        if self.parts.journal.writer.trouble:
            return False, f"the journal cannot be written: {self.parts.journal.writer.trouble}"
        if not self.parts.broker.connected:
            return False, f"no connection to the broker: {self.parts.broker.last_error or 'connecting'}"
        return True, "taking readings"

    def metrics(self) -> bytes:
        return metrics.exposition(self.parts, self.runner.left_out, self.runner.counts)

    def subscribe(self) -> Queue[tuple[str, Json]]:
        return self.parts.news.subscribe()

    def unsubscribe(self, queue: Queue[tuple[str, Json]]) -> None:
        self.parts.news.unsubscribe(queue)


def _short(item: Json) -> Json:
    return {key: value for key, value in item.items() if key != "phases"}


def _long(item: Json) -> Json:
    return item | {"event": _text(item["event"]), "response": _text(item["response"])}


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")
