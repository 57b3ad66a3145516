"""Everything the appliance is made of, built and joined in one place, in the order a reading meets it.

Nothing here runs yet: `Appliance.start` starts what `build` made. No part knows another one's library.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_agent.adapters.history_sqlite import SqliteHistory
from edge_agent.adapters.journal_sqlite import SqliteJournal
from edge_agent.adapters.mqtt_paho import BrokerOptions, PahoBroker
from edge_agent.app.clock import now_ms
from edge_agent.app.governing import governor
from edge_agent.app.scaled import Scaled
from edge_agent.app.subscriptions import Subscriptions
from edge_agent.decode import Decode
from edge_agent.domain.alert import Alert
from edge_agent.domain.rules.book import RuleBook
from edge_agent.domain.rules.spec import RuleState
from edge_agent.domain.topics import Topics
from edge_agent.engine.alarms import Alarms
from edge_agent.engine.crons import Crons
from edge_agent.engine.devices import Devices
from edge_agent.engine.drain import Drain, Limits
from edge_agent.engine.functions.dispatch import Engine
from edge_agent.engine.functions.logbook import Logbook
from edge_agent.engine.functions.loop import Loop
from edge_agent.engine.functions.meter import Meter
from edge_agent.engine.news import News
from edge_agent.engine.rates import Rates
from edge_agent.engine.readings import Readings
from edge_agent.engine.record import Recorder
from edge_agent.engine.tell import Teller
from edge_agent.engine.triggers import Triggers
from edge_agent.engine.waiters import Waiters
from edge_agent.engine.watermarks import Watermarks
from edge_agent.manifests import ManifestFolder
from edge_agent.pipeline import Aftermath, Pipeline
from edge_agent.ports import Clock, History
from edge_agent.settings import Settings

Snapshot = Callable[[Sequence[tuple[str, str, bytes]], Sequence[RuleState]], None]


class Timed:
    """How often and how long, by function: {function: (count, seconds)}."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[int, float]] = {}

    def __call__(self, function: str, seconds: float) -> None:
        count, total = self.seen.get(function, (0, 0.0))
        self.seen[function] = (count + 1, total + seconds)


@dataclass(slots=True)
class Parts:
    """The parts, for whoever answers questions about them."""

    settings: Settings
    clock: Clock
    boot: str
    topics: Topics
    journal: SqliteJournal
    history: History
    devices: Devices
    alarms: Alarms
    news: News
    waiters: Waiters
    silences: dict[tuple[str, str], int]
    manifests: ManifestFolder
    loop: Loop
    engine: Engine
    broker: PahoBroker
    subscriptions: Subscriptions
    rates: Rates
    teller: Teller
    pipeline: Pipeline
    drain: Drain
    readings: Readings
    scaled: Scaled
    durations: Timed = field(default_factory=Timed)
    inits: Timed = field(default_factory=Timed)
    logbook: Logbook = field(default_factory=lambda: Logbook(now_ms))
    meter: Meter = field(default_factory=lambda: Meter(now_ms))


def build(settings: Settings, after: Aftermath, on_session: Callable[[bool], None]) -> Parts:
    """Open the stores and join the parts; `after` and `on_session` are the appliance's own."""
    settings.data.dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    boot = f"agent-{secrets.token_hex(8)}"
    topics, devices, news = Topics(settings.site), Devices(), News()
    decode = Decode(settings.site, settings.mqtt.dialects, boot=boot)
    parts: Any = {}

    def alarm_changed(alert: Alert) -> None:
        news.publish(
            "alarm", {"name": alert.rule, "state": alert.state, "summary": alert.message, "since": alert.since}
        )
        if "teller" in parts:
            parts["teller"].tell([alert])

    alarms = Alarms(now_ms, alarm_changed)
    journal = SqliteJournal(
        settings.data.dir,
        now_ms,
        linger=settings.journal.linger,
        batch=settings.journal.batch,
        on_alarm=lambda name, summary: alarms.set(name, _explain(name, summary)),
    )
    history = open_history(settings, alarms)
    silences = {(rule, device): until for rule, device, until, _ in journal.silences()}
    broker = PahoBroker(
        broker_options(settings),
        decode.filters(),
        now_ms,
        take=lambda batch: parts["pipeline"].take(batch),  # noqa: PLW0108 - it is made below
        on_session=on_session,
        will=(topics.status, b'{"state":"offline"}'),
    )
    teller = parts["teller"] = Teller(
        topics,
        broker,
        journal,
        silenced=lambda alert: silenced(silences, alert, now_ms()),
        on_told=lambda alert: parts["pipeline"].counters.alerted((now_ms() - (alert.until or alert.since)) / 1000),
    )
    loop = Loop()
    engine = Engine(loop, journal, governor=governor(settings))
    pipeline = parts["pipeline"] = Pipeline(
        topics,
        decode,
        RuleBook([], late_after_s=settings.rules.late_after),
        Watermarks(),
        devices,
        Recorder(settings.site, devices.unit),
        journal,
        after,
        now_ms,
        boot,
        Triggers(settings.site, boot, decode.filters()),
        Crons(settings.site, known=lambda event_id, function: bool(journal.invocation(event_id, function))),
    )
    engine.followers.append(pipeline.triggers.of_answer)
    subscriptions = Subscriptions(settings.data.dir / "subscriptions.json", broker, alarms)
    drain = Drain(
        journal,
        history,
        now_ms,
        limits=Limits(settings.journal.max_bytes, settings.journal.max_age),
        memory=lambda commit: snapshot(pipeline, commit),
        on_alarm=alarms.set,
    )
    return Parts(
        settings, now_ms, boot, topics, journal, history, devices, alarms, news, Waiters(), silences,
        ManifestFolder(settings.manifests_dir, defaults=settings.function_defaults), loop, engine, broker,
        subscriptions, Rates(pipeline.triggers.started, settings.functions.messages_per_minute), teller, pipeline, drain,
        Readings(journal, history, drain, journal.writer.number),
        Scaled(settings.data.dir / "scaled.json", engine.by_hand),
    )  # fmt: skip


def open_history(settings: Settings, alarms: Alarms) -> History:
    """The store the one configuration line names."""
    wanted = settings.history
    if wanted.url == "sqlite":
        return SqliteHistory(settings.data.dir, now_ms, keep_hourly=wanted.keep_hourly, on_alarm=alarms.set)
    from edge_agent.adapters.history_mongo import MongoHistory  # pymongo takes 17 MB: only who uses it pays

    password = wanted.password.get_secret_value()
    return MongoHistory(wanted.url, password=password, keep=wanted.keep_raw, keep_hourly=wanted.keep_hourly)


def broker_options(settings: Settings) -> BrokerOptions:
    mqtt = settings.mqtt
    return BrokerOptions(
        host=mqtt.host,
        port=mqtt.port,
        client_id=settings.client_id,
        v5=mqtt.protocol == "5",
        username=mqtt.username,
        password=mqtt.password.get_secret_value(),
        tls_ca=_path(mqtt.tls_ca),
        tls_cert=_path(mqtt.tls_cert),
        tls_key=_path(mqtt.tls_key),
        keepalive=int(mqtt.keepalive),
        session_expiry=int(mqtt.session_expiry),
        receive_maximum=mqtt.receive_maximum,
        fast=mqtt.fast,
    )


def snapshot(pipeline: Pipeline, commit: Snapshot) -> None:
    """What is known from the batches that are about to leave the journal, put on record before anything else comes in."""
    with pipeline.lock:
        marks = pipeline.watermarks.dump(pipeline.touched)
        pipeline.touched.clear()
        commit(marks, pipeline.rules.snapshot())


def silenced(silences: dict[tuple[str, str], int], alert: Alert, now: int) -> bool:
    """Whether somebody asked not to be told of this rule, on this device or any."""
    return any(silences.get((alert.rule, device), 0) > now for device in (alert.device, "*"))


def _path(path: Path | None) -> str:
    return str(path) if path else ""


def _explain(name: str, summary: str) -> str:
    if name == "disk" and summary:
        return (
            f"the journal cannot be written ({summary}): readings are held back at boards and broker and nothing is lost; "
            "free some space on the data folder's disk, and the intake goes on by itself"
        )
    return summary
