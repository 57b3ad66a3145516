"""The path of a reading, from the broker to an alert.

Enters: batches of MQTT messages; the time. Leaves: stored readings, alerts, recorded invocations (of rules, of functions that
asked for a topic, of those whose hour has come), and to each board the promise (`ack`) up to where its readings are safe.
Guarantee: a message is acknowledged, to the broker and to the board, only after its readings and the invocations they caused
are on disk (MQTT 5, 4.3.2 and 4.6). A crash anywhere repeats work and loses none; repeats are absorbed by (device, boot, seq).
Not chosen: acknowledging after the function has run. Twenty slow functions would stall every board.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from edge_agent.decode import Decode
from edge_agent.domain.alert import Alert
from edge_agent.domain.function import FunctionSpec
from edge_agent.domain.invocation import Invocation
from edge_agent.domain.message import Message, Rejected
from edge_agent.domain.reading import About, Presence, Sample
from edge_agent.domain.rules.book import RuleBook
from edge_agent.domain.rules.spec import Rule
from edge_agent.domain.topics import Topics
from edge_agent.engine.counters import Counters
from edge_agent.engine.crons import Crons
from edge_agent.engine.devices import Devices
from edge_agent.engine.record import Recorder
from edge_agent.engine.timeline import Timeline
from edge_agent.engine.triggers import Triggers
from edge_agent.engine.watermarks import Watermarks
from edge_agent.ports import Batch, Clock, Entries, Journal, Promises

log = logging.getLogger(__name__)


class Aftermath(Protocol):
    """What happens once a commit is on disk; called in the order of the commits. `awaited`: somebody waits for one."""

    def dispatch(self, invocations: Sequence[Invocation]) -> None: ...
    def tell(self, alerts: Sequence[Alert]) -> None: ...
    def stored(self, samples: Sequence[Sample], repeats: Sequence[Sample]) -> None: ...
    def awaited(self) -> bool: ...


@dataclass(slots=True)
class Pipeline:
    """intake -> decode -> match -> record; dispatch, settle and tell follow from what was recorded."""

    topics: Topics
    decode: Decode
    rules: RuleBook
    watermarks: Watermarks
    devices: Devices
    recorder: Recorder
    journal: Journal
    after: Aftermath
    clock: Clock
    boot: str
    """Names the samples of devices that do not count for themselves; nobody waits for an `ack` of it."""
    triggers: Triggers
    """Functions that asked for topics."""
    crons: Crons
    """Functions that run by the clock."""
    counters: Counters = field(default_factory=Counters)
    timeline: Timeline = field(default_factory=Timeline)
    lock: threading.RLock = field(default_factory=threading.RLock)
    lateness: int = 0
    """How old the newest sample was when it came, ms: whether what comes is current or a backlog."""
    touched: set[tuple[str, str]] = field(default_factory=set)
    """Boots whose watermark moved since the last snapshot."""

    def take(self, batch: Batch) -> None:
        """Carry one batch from the broker to the disk, then acknowledge it: one fsync, one write, for all."""
        with self.lock:
            entries, repeats = Entries(), list[Sample]()
            for message in batch.messages:
                try:
                    self._read(message, entries, repeats)
                except Exception as defect:  # a defect of ours must not stop the intake, nor bring the message for ever
                    log.exception("a message of %r could not be taken", message.topic)
                    entries.rejected.append(_fault(message, defect))
            self.counters.received.update([self.decode.dialect(message.topic) for message in batch.messages])
            if entries.samples:
                self.lateness = entries.samples[-1].received - entries.samples[-1].t
            promises = self._promises(entries.samples, repeats)
            self._record(entries, repeats, lambda: batch.acknowledge(promises))

    def tick(self, now: int, drained: bool) -> None:
        """Let it be noticed that time has passed: by rules (`for`, `missingFor`), and by functions whose hour has come."""
        with self.lock:
            matches = self.rules.tick(now, drained)
            invocations, marks = self.crons.tick(now)
            if matches or marks:
                entries = Entries(invocations=invocations, crons=marks)
                self.recorder.add(entries, matches, now)
                self._record(entries, (), None)

    def replace(self, rules: Sequence[Rule], functions: Mapping[str, FunctionSpec]) -> None:
        """Live by others from now on, without losing a message; what fires by a rule that is gone is over."""
        with self.lock:
            entries, now = Entries(), self.clock()
            self.recorder.add(entries, self.rules.replace(rules, now), now)
            self.triggers.replace(functions)
            entries.crons = self.crons.replace(functions, now)
            self._record(entries, (), None)

    def forget(self, device: str) -> None:
        """A device is retired: its episodes are over, its counting begins anew."""
        with self.lock:
            entries, now = Entries(), self.clock()
            self.recorder.add(entries, self.rules.forget(device, now), now)
            self.watermarks.forget(device)
            self.devices.forget(device)
            self._record(entries, (), None)

    # -- decode, match

    def _read(self, message: Message, entries: Entries, repeats: list[Sample]) -> None:
        asked = self.triggers.asked(message.topic)
        fresh, again = len(entries.samples), len(repeats)
        for item in self.decode(message) if asked is None or asked.by_dialects else ():
            if type(item) is Sample:
                self._match(item, entries, repeats)
            elif type(item) is Presence:
                self.devices.heard(item)
            elif type(item) is About:
                if self.devices.told(item):
                    self.rules.learn(item)
                    entries.abouts.append(item)
            elif type(item) is Rejected:
                entries.rejected.append(item)
        if asked is not None:
            self.triggers.add(entries, message, asked, entries.samples[fresh:], repeats[again:])

    def _match(self, sample: Sample, entries: Entries, repeats: list[Sample]) -> None:
        if not self.devices.knows(sample.device):
            self.counters.dropped["too-many-devices"] += 1
            return
        if not self.watermarks.admit(sample):
            repeats.append(sample)
            return
        entries.samples.append(sample)
        self.devices.saw(sample)
        matches = self.rules.observe(sample)
        if matches:
            self.recorder.add(entries, matches, sample.received)

    # -- record

    def _promises(self, samples: Sequence[Sample], repeats: Sequence[Sample]) -> Promises:
        """What each board is told once this batch is on disk; a repeat is answered too, for its `ack` was lost."""
        fresh = {(sample.device, sample.boot) for sample in samples}
        again = {(sample.device, sample.boot) for sample in repeats}
        self.touched |= fresh
        return {
            (self.topics.ack(device), boot): b'{"boot":"%b","seq":%d}'
            % (boot.encode(), self.watermarks.low(device, boot))
            for device, boot in fresh | again
            if boot != self.boot
        }

    def _record(self, entries: Entries, repeats: Sequence[Sample], acknowledge: Callable[[], None] | None) -> None:
        entries.states = self.rules.changed()
        phases = self.timeline.open(entries.samples)

        def safe() -> None:
            phases.on_disk = self.timeline.now()
            self._count(entries)
            if acknowledge is not None:
                acknowledge()
                phases.acknowledged = self.timeline.now()
            if entries.invocations:
                self.after.dispatch(entries.invocations)
            if entries.alerts:
                self.after.tell(entries.alerts)
            self.after.stored(entries.samples, repeats)

        urgent = bool(entries.invocations or entries.alerts or entries.states) or self.after.awaited()
        phases.number = self.journal.commit(entries, urgent=urgent, then=safe)

    def _count(self, entries: Entries) -> None:
        counters = self.counters
        counters.samples += len(entries.samples)
        counters.stored += sum([len(sample.values) for sample in entries.samples])
        for rejected in entries.rejected:
            counters.rejected[rejected.reason] += 1
        self.triggers.count(entries.invocations)


def _fault(message: Message, defect: Exception) -> Rejected:
    return Rejected(message.topic, "agent-fault", repr(defect)[:200], message.payload[:512], message.received)
