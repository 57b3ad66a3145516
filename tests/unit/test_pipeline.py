"""The path of a reading with everything around it in memory: what is recorded, promised and called, and in which order."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from edge_agent.decode import Decode
from edge_agent.domain.alert import Alert
from edge_agent.domain.invocation import Invocation
from edge_agent.domain.message import Message
from edge_agent.domain.reading import Sample
from edge_agent.domain.rules.book import RuleBook
from edge_agent.domain.rules.spec import Rule
from edge_agent.domain.topics import Topics
from edge_agent.engine.crons import Crons
from edge_agent.engine.devices import Devices
from edge_agent.engine.record import Recorder
from edge_agent.engine.triggers import Triggers
from edge_agent.engine.watermarks import Watermarks
from edge_agent.pipeline import Pipeline
from edge_agent.ports import Batch, Entries

NOW = 1_763_892_000_000
LOW = Rule(name="low", devices="tank-*", reading="level", below=20, run=("mail",))


class Journal:
    """Keeps commits; they are on disk when the test says so."""

    def __init__(self) -> None:
        self.commits: list[tuple[Entries, bool, Callable[[], None] | None]] = []

    def commit(self, entries: Entries, *, urgent: bool = True, then: Callable[[], None] | None = None) -> int:
        self.commits.append((entries, urgent, then))
        return len(self.commits)

    def pending_invocations(self) -> list[Invocation]:
        return []

    def sync(self) -> None:
        for _, _, then in self.commits:
            if then:
                then()


class World:
    """A pipeline, and everything that was done by it, in order."""

    def __init__(self, *rules: Rule) -> None:
        self.done: list[tuple[str, Any]] = []
        self.hurry = False
        self.journal = Journal()
        topics, devices = Topics("home"), Devices()
        decode = Decode("home", boot="own")
        self.triggers = Triggers("home", "own", decode.filters())
        self.crons = Crons("home")
        self.pipeline = Pipeline(
            topics,
            decode,
            RuleBook(rules),
            Watermarks(),
            devices,
            Recorder("home", devices.unit),
            self.journal,
            self,
            lambda: NOW,
            "own",
            self.triggers,
            self.crons,
        )

    def dispatch(self, invocations: Sequence[Invocation]) -> None:
        self.done.append(("dispatch", [invocation.id for invocation in invocations]))

    def tell(self, alerts: Sequence[Alert]) -> None:
        self.done.append(("tell", [alert.id for alert in alerts]))

    def stored(self, samples: Sequence[Sample], repeats: Sequence[Sample]) -> None:
        self.done.append(("stored", [sample.seq for sample in samples]))

    def awaited(self) -> bool:
        return self.hurry

    def take(self, *messages: Message) -> None:
        self.pipeline.take(Batch(list(messages), lambda promises: self.done.append(("ack", promises))))


def reading(seq: int, level: float, device: str = "tank-1", retained: bool = False) -> Message:
    body = {"boot": "b1", "seq": seq, "t": NOW, "readings": {"level": level}}
    return Message(f"edge/v1/home/devices/{device}/readings", json.dumps(body).encode(), NOW, retained)


def test_nothing_is_acknowledged_told_or_run_before_it_is_on_disk_and_then_in_that_order() -> None:
    world = World(LOW)
    world.take(reading(1, 50.0), reading(2, 10.0))
    assert world.done == []
    ((entries, urgent, _),) = world.journal.commits
    assert urgent
    assert [sample.seq for sample in entries.samples] == [1, 2]
    assert [invocation.id for invocation in entries.invocations] == ["tank-1/b1/2/low"]
    assert [state.rule for state in entries.states] == ["low"]
    world.journal.sync()
    assert world.done == [
        ("ack", {("edge/v1/home/devices/tank-1/ack", "b1"): b'{"boot":"b1","seq":2}'}),
        ("dispatch", ["tank-1/b1/2/low"]),
        ("tell", ["tank-1/b1/2/low"]),
        ("stored", [1, 2]),
    ]


def test_what_fires_nothing_may_linger() -> None:
    world = World(LOW)
    world.take(reading(1, 50.0))
    world.hurry = True
    world.take(reading(2, 50.0))
    assert [urgent for _, urgent, _ in world.journal.commits] == [False, True], "somebody waits for an answer"


def test_a_repeat_is_promised_again_and_recorded_once() -> None:
    world = World(LOW)
    world.take(reading(1, 10.0), reading(1, 10.0))
    world.take(reading(1, 10.0))
    world.journal.sync()
    assert [len(entries.samples) for entries, _, _ in world.journal.commits] == [1, 0]
    assert [len(entries.alerts) for entries, _, _ in world.journal.commits] == [1, 0]
    assert [what for what, _ in world.done if what == "ack"] == ["ack", "ack"]
    assert world.done[-2] == ("ack", {("edge/v1/home/devices/tank-1/ack", "b1"): b'{"boot":"b1","seq":1}'})


def test_a_retained_reading_is_stored_and_triggers_nothing() -> None:
    world = World(LOW)
    world.take(reading(1, 10.0, retained=True))
    ((entries, _, _),) = world.journal.commits
    assert len(entries.samples) == 1
    assert entries.alerts == entries.invocations == []


def test_boards_that_do_not_count_for_themselves_get_no_ack() -> None:
    world = World()
    world.take(Message("tele/plug/SENSOR", b'{"Time":"2026-11-23T10:00:00","DS18B20":{"Temperature":20.6}}', NOW))
    world.journal.sync()
    assert world.done[0] == ("ack", {})
    assert world.pipeline.counters.received == {"tasmota": 1}


def test_a_defect_of_ours_costs_one_message_and_not_the_intake(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(LOW)
    observe = world.pipeline.rules.observe

    def broken(sample: Sample) -> Any:
        return 1 / 0 if sample.seq == 2 else observe(sample)

    monkeypatch.setattr(world.pipeline.rules, "observe", broken)
    world.take(reading(1, 50.0), reading(2, 50.0), reading(3, 50.0))
    world.journal.sync()
    ((entries, _, _),) = world.journal.commits
    assert [sample.seq for sample in entries.samples] == [1, 2, 3]
    assert [rejected.reason for rejected in entries.rejected] == ["agent-fault"]
    assert world.pipeline.counters.rejected == {"agent-fault": 1}
    assert "could not be taken" in caplog.text


def test_devices_that_are_invented_without_end_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_agent.engine import devices

    monkeypatch.setattr(devices, "DEVICES_MOST", 1)
    world = World()
    world.take(reading(1, 1.0, "a"), reading(1, 1.0, "b"))
    assert [sample.device for sample in world.journal.commits[0][0].samples] == ["a"]
    assert world.pipeline.counters.dropped == {"too-many-devices": 1}


def test_a_device_that_is_forgotten_begins_anew_and_its_alert_is_over() -> None:
    world = World(LOW)
    world.take(reading(1, 10.0))
    world.pipeline.forget("tank-1")
    entries, urgent, _ = world.journal.commits[-1]
    assert urgent
    assert [alert.state for alert in entries.alerts] == ["resolved"]
    world.take(reading(1, 50.0))
    assert [sample.seq for sample in world.journal.commits[-1][0].samples] == [1]
