"""The board's side of the promise, without a socket and without a clock: the reference for every firmware.

Enters: measurements, what the link does (connected, disconnected), acks, and the time. Leaves: packets to publish now.
Guarantee: a reading is held until an ack of its own boot covers it, or until the buffer is full and it is the oldest;
then it is counted as dropped and the agent is told (`oldest`). The contract in words is in `edge_agent.decode.native`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

import msgspec

from edge_agent.domain.reading import Value

RESEND_AFTER = 10_000
"""Milliseconds without an ack before everything is sent again; doubles up to `RESEND_AT_MOST` while none comes."""
RESEND_AT_MOST = 60_000
BATCH_READINGS = 100
BATCH_BYTES = 48 * 1024
"""A batch stays below INTERFACE's 64 KiB."""


@dataclass(slots=True)
class Held:
    """One reading that no ack covers yet. `at` is the board's uptime in ms; `t` a time of its own (a replayed series)."""

    seq: int
    at: int
    values: dict[str, Value]
    t: int | None
    tries: int = 0


@dataclass(slots=True)
class Boot:
    """What is held of one boot, oldest first. The first `sent` of them are on their way."""

    id: str
    held: deque[Held] = field(default_factory=deque)
    sent: int = 0
    last: int = 0
    say_oldest: bool = False


@dataclass(frozen=True, slots=True)
class Packet:
    """To publish with QoS 1 under the device's `topic` (`readings` or `readings/batch`)."""

    topic: str
    payload: bytes


@dataclass(slots=True)
class Stats:
    """Readings: `sent` once, `resent` again, `acked` by the agent, `dropped` from a full buffer or a lost memory."""

    sent: int = 0
    resent: int = 0
    acked: int = 0
    dropped: int = 0


class Board:
    """One board. `capacity` readings are held, `window` of them may be on their way. Not thread-safe.

    `now` is always the uptime in milliseconds; `clock` is what to add to it for epoch milliseconds, None while unknown.
    """

    def __init__(self, boot: str, *, clock: int | None = None, capacity: int = 10_000, window: int = 500) -> None:
        self.clock = clock
        self.capacity = capacity
        self.window = window
        self.online = False
        self.stats = Stats()
        self._boot = Boot(boot)
        self._boots = {boot: self._boot}
        self._progress = 0
        self._patience = RESEND_AFTER

    @property
    def boot(self) -> str:
        return self._boot.id

    @property
    def pending(self) -> int:
        """Readings held."""
        return sum(len(boot.held) for boot in self._boots.values())

    def measure(self, values: dict[str, Value], now: int, t: int | None = None) -> int:
        """Hold a new reading; its sequence number."""
        if self.pending >= self.capacity:
            self._drop_oldest()
        self._boot.last += 1
        self._boot.held.append(Held(self._boot.last, now, values, t))
        return self._boot.last

    def connected(self, now: int) -> None:
        """The link is up: everything that is held goes out again, for a broker that was killed has forgotten it."""
        self.online = True
        self._patience = RESEND_AFTER
        self._rewind(now)

    def disconnected(self) -> None:
        self.online = False

    def reboot(self, boot: str, *, clock: int | None = None, keep: bool = True) -> None:
        """A new boot. What was held goes out under its old one if it was in flash (`keep`), else it is gone."""
        if not keep:
            self.stats.dropped += self.pending
            self._boots.clear()
        self.online = False
        self.clock = clock
        self._boot = self._boots[boot] = Boot(boot)
        self._boots = {id_: each for id_, each in self._boots.items() if each.held or each is self._boot}

    def acked(self, boot: str, seq: int, now: int) -> int:
        """The agent has everything of `boot` up to `seq` on disk; how many readings that covers."""
        mine = self._boots.get(boot)
        if mine is None:
            return 0
        covered = 0
        while mine.held and mine.held[0].seq <= seq:
            mine.held.popleft()
            covered += 1
        mine.sent = max(0, mine.sent - covered)
        # An agent that lost its memory waits for readings that are long gone from here.
        mine.say_oldest = bool(mine.held) and seq < mine.held[0].seq - 1
        if covered:
            self.stats.acked += covered
            self._progress = now
            self._patience = RESEND_AFTER
        if not mine.held and mine is not self._boot:
            del self._boots[boot]
        return covered

    def due(self, now: int) -> list[Packet]:
        """What to publish now; it counts as sent from here on."""
        if not self.online:
            return []
        flying = sum(boot.sent for boot in self._boots.values())
        if flying and now - self._progress >= self._patience:
            self._patience = min(2 * self._patience, RESEND_AT_MOST)
            self._rewind(now)
            flying = 0
        if not flying:
            self._progress = now
        room = self.window - flying
        encoded: list[bytes] = []
        for boot in self._boots.values():
            fresh = list(islice(boot.held, boot.sent, boot.sent + room))
            encoded.extend(self._encode(boot, held, now, first=held is fresh[0]) for held in fresh)
            boot.sent += len(fresh)
            room -= len(fresh)
        if len(encoded) == 1:
            return [Packet("readings", encoded[0])]
        return [Packet("readings/batch", b"[" + b",".join(batch) + b"]") for batch in _batches(encoded)]

    def _rewind(self, now: int) -> None:
        for boot in self._boots.values():
            boot.sent = 0
            boot.say_oldest = bool(boot.held) and boot.held[0].seq > 1
        self._progress = now

    def _drop_oldest(self) -> None:
        boot = next(boot for boot in self._boots.values() if boot.held)
        boot.held.popleft()
        boot.sent = max(0, boot.sent - 1)
        boot.say_oldest = True
        self.stats.dropped += 1

    def _encode(self, boot: Boot, held: Held, now: int, *, first: bool) -> bytes:
        message: dict[str, object] = {"boot": boot.id, "seq": held.seq}
        if held.t is not None:
            message["t"] = held.t
        elif self.clock is not None:
            message["t"] = held.at + self.clock
        else:
            message |= {"t": None, "age": max(0, now - held.at)}
        if boot.say_oldest and first:
            message["oldest"] = boot.held[0].seq
        message["readings"] = held.values
        held.tries += 1
        if held.tries == 1:
            self.stats.sent += 1
        else:
            self.stats.resent += 1
        return msgspec.json.encode(message)


def _batches(encoded: list[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for one in encoded:
        if batch and (len(batch) == BATCH_READINGS or size + len(one) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += len(one) + 1
    if batch:
        yield batch
