"""Many boards at once: what `edgectl run --devices` and `edgectl simulate` start.

Enters: a way to connect (`adapters.board_paho.BoardLinks`), how many boards, how fast, which profile, a seed. Leaves:
readings of boards that behave like real ones, faults included, each on a connection of its own. Guarantee: nothing
that no ack covers is forgotten while the fleet runs, except what overflows a board's buffer (counted).
"""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count

from edge_agent.domain.reading import Value
from edge_agent.domain.topics import Topics
from edge_agent.simulator import profiles
from edge_agent.simulator.board import Board
from edge_agent.simulator.faults import Faults, Rates
from edge_agent.simulator.member import Connect, Member, uptime
from edge_agent.simulator.replay import Replay

MIXED = ("water-level", "room-climate", "door", "light", "thermostat", "vending-machine")
"""The order in which a mixed fleet deals its profiles; others follow by name."""
TICK = 0.5
"""Seconds between looks at acks that do not come."""


def epoch() -> int:
    return time.time_ns() // 1_000_000


def new_boot(random_: random.Random | None = None) -> str:
    """64 random bits."""
    return f"{(random_ or random.SystemRandom()).getrandbits(64):016x}"


class SimulatedBoard:
    """One board of a fleet: what it measures, what goes wrong with it, and its connection."""

    def __init__(self, topics: Topics, device: str, profile: str, dice: random.Random, rates: Rates) -> None:
        module = profiles.find(profile)
        self.device = device
        self._dice = dice
        self._profile = module.Profile(dice)
        self._faults = Faults(dice, rates, module.ABOUT["readings"])
        self._clock_from = uptime() + self._faults.clock_missing_for()
        # The boot is not from the seed: the same fleet run twice has rebooted in between.
        self.member = Member(topics, device, Board(new_boot(), clock=self._clock()), about=module.ABOUT)

    def measure(self) -> tuple[str, int, dict[str, Value]] | None:
        """Measure and send; (boot, seq, values), None when no sensor answered."""
        if self._faults.reboots():
            self._clock_from = uptime() + self._faults.clock_missing_for()
            self.member.reboot(new_boot(), clock=self._clock(), keep=self._dice.random() < 0.5)
        elif self.member.board.clock is None:
            self.member.set_clock(self._clock())
        values = self._faults.through(self._profile.measure(epoch()))
        if not values:
            return None
        return (*self.member.measure(values, swap=self._faults.swaps()), values)

    def _clock(self) -> int | None:
        return epoch() - uptime() if uptime() >= self._clock_from else None


class Fleet:
    """`devices` boards, each measuring `rate` times a second for `duration` seconds (None: until `stop`).

    `profile` None deals all profiles in turn. `rates` is what goes wrong; `Rates.none()` for boards that are always
    right. `on_reading(device, boot, seq, values)` sees every reading before it is sent, `on_ack(device, boot, seq)`
    every ack. Errors: `NotFound` for a profile that is not there.
    """

    def __init__(
        self,
        connect: Connect,
        site: str,
        *,
        devices: int = 3,
        rate: float = 1.0,
        profile: str | None = None,
        seed: int = 0,
        duration: float | None = None,
        rates: Rates | None = None,
        on_reading: Callable[[str, str, int, dict[str, Value]], None] | None = None,
        on_ack: Callable[[str, str, int], None] | None = None,
    ) -> None:
        self._connect = connect
        self._topics = Topics(site)
        self._period = 1.0 / rate if rate > 0 else 1.0
        self._duration = duration
        self._on_reading = on_reading
        self._dice = random.Random(seed)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._extra: list[Member] = []
        rates = Rates() if rates is None else rates
        self.boards = [
            SimulatedBoard(self._topics, device, name, random.Random(f"{seed}/{device}"), rates)
            for device, name in _dealt(devices, profile)
        ]
        for member in self._members():
            member.on_ack = on_ack

    @property
    def devices(self) -> list[str]:
        """The boards' names: `tank-1`, `room-1`, `door-1`, `tank-2`, ..."""
        return [board.device for board in self.boards]

    def start(self) -> None:
        """Connect all boards and begin to measure; returns at once."""
        for board in self.boards:
            board.member.connect(self._connect)
        self._thread = threading.Thread(target=self._run, name="simulated-boards", daemon=True)
        self._thread.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until `duration` is over; whether it is."""
        if self._thread is not None:
            self._thread.join(timeout)
        return self._thread is None or not self._thread.is_alive()

    def stop(self, drain: bool = True, timeout: float = 10.0) -> bool:
        """Stop measuring; with `drain` wait up to `timeout` seconds for the acks that are missing; disconnect.

        Returns whether everything is acked.
        """
        self._stopping.set()
        self.wait()
        end = time.monotonic() + timeout
        empty = True
        for member in self._members():
            member.flush()
            while drain and member.pending and (left := end - time.monotonic()) > 0:
                member.tick()
                member.wait_below(1, min(left, TICK))
            empty = empty and not member.pending
        for member in self._members():
            member.close()
        return empty

    def stats(self) -> dict[str, int]:
        """Readings of all boards: sent, acked, pending, resent, dropped."""
        members = list(self._members())
        stats = [member.board.stats for member in members]
        return {
            "sent": sum(one.sent for one in stats),
            "acked": sum(one.acked for one in stats),
            "pending": sum(member.pending for member in members),
            "resent": sum(one.resent for one in stats),
            "dropped": sum(one.dropped for one in stats),
        }

    def problems(self) -> dict[str, str]:
        """Boards without a connection and why."""
        return {member.device: member.problem for member in self._members() if member.problem}

    def send(self, device: str, values: dict[str, Value], t: int | None = None, timeout: float = 10.0) -> bool:
        """One message more, as a board would send it; whether it was acked within `timeout` seconds."""
        return send(self._connect, self._topics.site, device, values, t=t, timeout=timeout)

    def replay(self, device: str, series: Replay) -> bool:
        """Play a recorded series as a board of its own; returns when all is sent and acked, or the fleet stops (False)."""
        member = Member(self._topics, device, Board(new_boot()), about=series.about())
        self._extra.append(member)
        member.connect(self._connect)
        return series.play(member, self._stopping)

    def _members(self) -> Iterator[Member]:
        yield from (board.member for board in self.boards)
        yield from self._extra

    def _run(self) -> None:
        start = time.monotonic()
        end = start + self._duration if self._duration is not None else float("inf")
        order = count()
        # Boards are not in step: each starts somewhere within its first period.
        turns = [(start + self._dice.random() * self._period, next(order), board) for board in self.boards]
        heapq.heapify(turns)
        next_tick = start + TICK
        while not self._stopping.is_set():
            now = time.monotonic()
            if now >= end:
                return
            if now >= next_tick:
                next_tick = now + TICK
                for member in self._members():
                    member.tick()
            if turns and turns[0][0] <= now:
                at, _, board = turns[0]
                self._measure(board)
                # A machine that cannot keep up measures less often; it does not catch up in bursts.
                heapq.heapreplace(turns, (max(at + self._period, now - self._period), next(order), board))
                continue
            self._stopping.wait(max(0.0, min(next_tick, end, turns[0][0] if turns else end) - now))

    def _measure(self, board: SimulatedBoard) -> None:
        measured = board.measure()
        if measured is not None and self._on_reading is not None:
            self._on_reading(board.device, *measured)


def send(
    connect: Connect,
    site: str,
    device: str,
    values: dict[str, Value],
    *,
    t: int | None = None,
    timeout: float = 10.0,
) -> bool:
    """Send one message as a board would; whether the agent has acked it within `timeout` seconds.

    It has a boot of its own and leaves the status of a real board of that name alone.
    """
    member = Member(Topics(site), device, Board(new_boot(), clock=epoch() - uptime()))
    member.measure(values, t)
    member.connect(connect)
    try:
        return member.wait_below(1, timeout)
    finally:
        member.close()


def _dealt(devices: int, profile: str | None) -> Iterator[tuple[str, str]]:
    """(device, profile) of each board."""
    names = [profile] if profile else [*MIXED, *(name for name in profiles.known() if name not in MIXED)]
    numbers: dict[str, int] = {}
    for index in range(devices):
        name = names[index % len(names)]
        kind = profiles.find(name).DEVICE
        numbers[kind] = numbers.get(kind, 0) + 1
        yield f"{kind}-{numbers[kind]}", name
