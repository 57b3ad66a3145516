from __future__ import annotations

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge_agent.decode import Decode
from edge_agent.domain.message import MAX_PAYLOAD, Message
from edge_agent.domain.reading import Sample
from edge_agent.engine.watermarks import Watermarks
from edge_agent.simulator.board import BATCH_READINGS, RESEND_AFTER, RESEND_AT_MOST, Board, Packet

CLOCK = 1_763_888_000_000


def board(**options: Any) -> Board:
    made = Board("b1", **({"clock": CLOCK} | options))
    made.connected(0)
    return made


def readings(packets: list[Packet]) -> list[dict[str, Any]]:
    flat: list[dict[str, Any]] = []
    for packet in packets:
        body = json.loads(packet.payload)
        assert (packet.topic == "readings/batch") == isinstance(body, list)
        flat += body if isinstance(body, list) else [body]
    return flat


def seqs(packets: list[Packet]) -> list[int]:
    return [reading["seq"] for reading in readings(packets)]


def test_a_reading_is_sent_once_and_forgotten_when_an_ack_covers_it() -> None:
    b = board()
    b.measure({"level": 1}, 5)
    assert readings(b.due(5)) == [{"boot": "b1", "seq": 1, "t": CLOCK + 5, "readings": {"level": 1}}]
    assert b.due(6) == []
    assert b.acked("b1", 1, 7) == 1
    assert (b.pending, b.stats.sent, b.stats.acked, b.stats.resent) == (0, 1, 1, 0)


def test_without_an_ack_everything_held_goes_out_again_in_a_batch_with_ever_longer_patience() -> None:
    b = board()
    for at in (1, 2):
        b.measure({"level": at}, at)
        b.due(at)
    assert b.due(RESEND_AFTER) == []
    assert seqs(b.due(RESEND_AFTER + 1)) == [1, 2]
    assert b.due(RESEND_AFTER * 3) == []
    assert seqs(b.due(RESEND_AFTER * 3 + 1)) == [1, 2]
    now = 10 * RESEND_AT_MOST
    assert seqs(b.due(now)) == [1, 2]
    b.due(now + RESEND_AT_MOST)
    assert seqs(b.due(now + 2 * RESEND_AT_MOST)) == [1, 2]


def test_an_ack_gives_patience_back() -> None:
    b = board()
    b.measure({"a": 1}, 0)
    b.measure({"a": 2}, 0)
    b.due(0)
    b.due(RESEND_AFTER)
    b.acked("b1", 1, RESEND_AFTER + 5)
    assert b.due(2 * RESEND_AFTER) == []
    assert seqs(b.due(2 * RESEND_AFTER + 5)) == [2]


def test_a_reconnect_sends_everything_held_from_the_oldest() -> None:
    b = board()
    for at in range(4):
        b.measure({"level": at}, at)
        b.due(at)
    b.acked("b1", 1, 4)
    b.disconnected()
    b.measure({"level": 9}, 5)
    assert b.due(5) == []
    b.connected(6)
    sent = readings(b.due(6))
    assert [one["seq"] for one in sent] == [2, 3, 4, 5]
    assert [one.get("oldest") for one in sent] == [2, None, None, None]


def test_a_full_buffer_loses_the_oldest_and_says_so_until_the_agent_knows() -> None:
    b = board(capacity=3)
    b.disconnected()
    for at in range(5):
        b.measure({"level": at}, at)
    assert (b.pending, b.stats.dropped) == (3, 2)
    b.connected(6)
    assert readings(b.due(6))[0] | {"readings": 0, "t": 0} == {
        "boot": "b1", "seq": 3, "oldest": 3, "readings": 0, "t": 0,
    }  # fmt: skip
    b.acked("b1", 3, 7)
    b.measure({"level": 9}, 8)
    assert "oldest" not in readings(b.due(8))[0]


def test_a_buffer_that_overflows_while_online_says_at_once_what_is_gone() -> None:
    b = board(capacity=3)
    sent = []
    for at in range(5):
        b.measure({"level": at}, at)
        sent += readings(b.due(at))
    assert [(one["seq"], one.get("oldest")) for one in sent] == [(1, None), (2, None), (3, None), (4, 2), (5, 3)]


def test_an_agent_that_lost_its_memory_is_told_where_to_begin() -> None:
    b = board()
    for at in range(5):
        b.measure({"level": at}, at)
        b.due(at)
    b.acked("b1", 3, 5)
    b.acked("b1", 0, 6)
    b.measure({"level": 9}, 7)
    assert readings(b.due(7)) == [
        {"boot": "b1", "seq": 6, "t": CLOCK + 7, "oldest": 4, "readings": {"level": 9}},
    ]


def test_before_the_clock_is_known_a_reading_has_an_age_and_afterwards_a_time() -> None:
    b = board(clock=None)
    b.measure({"level": 1}, 100)
    assert readings(b.due(350)) == [{"boot": "b1", "seq": 1, "t": None, "age": 250, "readings": {"level": 1}}]
    b.clock = CLOCK
    b.disconnected()
    b.connected(400)
    assert readings(b.due(400)) == [{"boot": "b1", "seq": 1, "t": CLOCK + 100, "readings": {"level": 1}}]


def test_no_more_than_the_window_is_on_its_way() -> None:
    b = board(window=3)
    for at in range(5):
        b.measure({"level": at}, at)
    assert seqs(b.due(5)) == [1, 2, 3]
    assert b.due(6) == []
    b.acked("b1", 2, 7)
    assert seqs(b.due(7)) == [4, 5]


def test_what_flash_kept_over_a_reboot_goes_out_under_its_old_name_first() -> None:
    b = board()
    b.measure({"level": 1}, 0)
    b.due(0)
    b.reboot("b2", clock=CLOCK)
    b.measure({"level": 2}, 1)
    b.connected(2)
    assert [(one["boot"], one["seq"]) for one in readings(b.due(2))] == [("b1", 1), ("b2", 1)]
    assert b.acked("b2", 1, 3) == 1
    assert b.acked("b1", 1, 4) == 1
    assert b.pending == 0


def test_what_only_memory_held_is_counted_as_dropped_by_a_reboot() -> None:
    b = board()
    b.measure({"level": 1}, 0)
    b.reboot("b2", keep=False)
    assert (b.pending, b.stats.dropped) == (0, 1)


def test_an_ack_of_another_boot_covers_nothing() -> None:
    b = board()
    b.measure({"level": 1}, 0)
    b.due(0)
    assert b.acked("b0", 99, 1) == 0
    assert b.pending == 1


def test_batches_stay_within_what_a_message_may_be() -> None:
    b = board(window=2_000)
    b.disconnected()
    for at in range(1_000):
        b.measure({"text": "x" * 256 if at % 2 else at, "more": "y" * (at % 250)}, at)
    b.connected(0)
    packets = b.due(0)
    assert all(len(packet.payload) <= MAX_PAYLOAD for packet in packets)
    assert all(len(json.loads(packet.payload)) <= BATCH_READINGS for packet in packets)
    assert seqs(packets) == list(range(1, 1_001))


class PromiseKept(RuleBasedStateMachine):
    """A board and an agent with a broker between them that may lose, repeat and reorder whatever it has in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.boots = 1
        self.board = Board("b1", clock=CLOCK, capacity=6, window=4)
        self.marks = Watermarks()
        self.stored: set[tuple[str, int]] = set()
        self.measured: dict[tuple[str, int], float] = {}
        self.forgotten: set[tuple[str, int]] = set()
        self.wire: list[Packet] = []
        self.acks: list[tuple[str, int]] = []
        self.decode = Decode("home", boot="x")

    def held(self) -> set[tuple[str, int]]:
        return {(boot.id, one.seq) for boot in self.board._boots.values() for one in boot.held}

    @rule(step=st.integers(1, 15_000))
    def time_passes(self, step: int) -> None:
        self.now += step
        self.wire += self.board.due(self.now)

    @rule(value=st.integers(0, 100))
    def measure(self, value: int) -> None:
        before = self.held()
        key = (self.board.boot, self.board.measure({"a": value}, self.now))
        self.measured[key] = value
        self.forgotten |= before - self.held()
        self.wire += self.board.due(self.now)

    @rule()
    def connect(self) -> None:
        self.board.connected(self.now)
        self.wire += self.board.due(self.now)

    @rule(lose=st.booleans())
    def link_breaks(self, lose: bool) -> None:
        self.board.disconnected()
        if lose:
            self.wire.clear()
            self.acks.clear()

    @rule(data=st.data())
    @precondition(lambda self: self.wire)
    def agent_takes_one(self, data: st.DataObject) -> None:
        packet = self.wire.pop(data.draw(st.integers(0, len(self.wire) - 1)))
        self.take(packet)
        if data.draw(st.booleans()):
            self.wire.append(packet)

    @rule(data=st.data())
    @precondition(lambda self: self.acks)
    def an_ack_comes(self, data: st.DataObject) -> None:
        boot, seq = self.acks.pop(data.draw(st.integers(0, len(self.acks) - 1)))
        before = self.held()
        self.board.acked(boot, seq, self.now)
        assert before - self.held() <= self.stored
        self.wire += self.board.due(self.now)

    @rule(keep=st.booleans())
    def reboot(self, keep: bool) -> None:
        self.boots += 1
        before = self.held()
        self.board.reboot(f"b{self.boots}", clock=CLOCK, keep=keep)
        self.forgotten |= before - self.held()

    def take(self, packet: Packet) -> None:
        topic = f"edge/v1/home/devices/d/{packet.topic}"
        for one in self.decode(Message(topic, packet.payload, CLOCK + self.now)):
            assert isinstance(one, Sample)
            if self.marks.admit(one):
                assert one.values == {"a": self.measured[one.boot, one.seq]}
                self.stored.add((one.boot, one.seq))
            self.acks.append((one.boot, self.marks.low("d", one.boot)))

    @invariant()
    def nothing_is_lost_but_what_was_dropped(self) -> None:
        assert set(self.measured) <= self.stored | self.held() | self.forgotten
        assert self.board.pending <= self.board.capacity

    def teardown(self) -> None:
        """Whatever happened: when broker and agent stay up, everything held is stored and acked in the end."""
        self.board.connected(self.now)
        for _ in range(200):
            self.now += RESEND_AFTER
            self.wire += self.board.due(self.now)
            while self.wire:
                self.take(self.wire.pop(0))
            while self.acks:
                self.board.acked(*self.acks.pop(0), self.now)
        assert self.board.pending == 0
        assert set(self.measured) <= self.stored | self.forgotten


TestPromiseKept = PromiseKept.TestCase
TestPromiseKept.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
