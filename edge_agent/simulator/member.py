"""One board on a link: `Board` decides, the link carries, acks come back.

Enters: measurements, and what the link says on its own thread. Leaves: publications under the device's topics.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from edge_agent.domain.reading import Value
from edge_agent.domain.topics import Topics
from edge_agent.simulator.board import Board, Packet


class Link(Protocol):
    """A connection to the broker, as `adapters.board_paho.BoardLink`."""

    @property
    def connected(self) -> bool: ...

    problem: str

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1) -> None: ...

    def close(self) -> None: ...


Connect = Callable[[Any], Link]
"""Opens a link for its owner, as `adapters.board_paho.BoardLinks`."""


class Ack(msgspec.Struct):
    boot: str
    seq: int


_ack = msgspec.json.Decoder(Ack).decode


def uptime() -> int:
    """Milliseconds of a clock that never jumps."""
    return time.monotonic_ns() // 1_000_000


class Member:
    """A board and its connection. Any thread may call.

    `about` None: it is one message's sender only, and says neither `status` nor `about`. `on_ack(device, boot, seq)` is
    called for every ack, on the link's thread.
    """

    def __init__(self, topics: Topics, device: str, board: Board, *, about: Mapping[str, Any] | None = None) -> None:
        self.device = device
        self.board = board
        self.on_ack: Callable[[str, str, int], None] | None = None
        self.client_id = f"board-{device}-{uptime():x}-{id(self) & 0xFFFF:x}"
        self.filters: Sequence[str] = [topics.ack(device)]
        self.will = (topics.presence(device), b"offline") if about is not None else None
        self._topics = topics
        self._about = about
        self._link: Link | None = None
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._swapped: Packet | None = None

    def connect(self, connect: Connect) -> None:
        link = connect(self)
        with self._lock:
            self._link = link
            if link.connected:
                self.opened()

    @property
    def problem(self) -> str:
        """Why it is not connected; "" when it is."""
        link = self._link
        return "" if link is None or link.connected else link.problem

    def measure(self, values: dict[str, Value], t: int | None = None, *, swap: bool = False) -> tuple[str, int]:
        """Hold a reading and send it if there is a link; its (boot, seq). `swap`: the next message overtakes it."""
        with self._lock:
            seq = self.board.measure(values, uptime(), t)
            self._send(swap=swap)
            return self.board.boot, seq

    def tick(self) -> None:
        """Send again what waits for its ack too long."""
        with self._lock:
            self._send()

    def flush(self) -> None:
        """Send a message that was to be overtaken and has nobody to overtake it."""
        with self._lock:
            swapped, self._swapped = self._swapped, None
            if swapped is not None:
                self._publish(swapped)

    @property
    def pending(self) -> int:
        """Readings that no ack covers."""
        with self._lock:
            return self.board.pending

    def reboot(self, boot: str, *, clock: int | None, keep: bool) -> None:
        """As after a power cut: a new boot on the same connection."""
        with self._lock:
            self._swapped = None
            self.board.reboot(boot, clock=clock, keep=keep)
            if self._link is not None and self._link.connected:
                self.board.connected(uptime())
                self._send()

    def set_clock(self, clock: int | None) -> None:
        """Epoch milliseconds less uptime, when the board has learnt the time."""
        with self._lock:
            self.board.clock = clock

    def wait_below(self, pending: int, timeout: float) -> bool:
        """Wait until fewer than `pending` readings wait for their ack; whether it is so. 1: until all are acked."""
        with self._changed:
            return self._changed.wait_for(lambda: self.board.pending < pending, timeout)

    def close(self) -> None:
        """Say goodbye; what is still held stays unsent."""
        with self._lock:
            if self._link is None:
                return
            if self.will is not None:
                self._link.publish(self.will[0], b"offline", retain=True, qos=0)
            self.board.disconnected()
        self._link.close()

    # -- the link's side

    def opened(self) -> None:
        with self._lock:
            if self._link is None or self.board.online:
                return  # `connect` has not the link yet, or was here first
            if self._about is not None:
                self._link.publish(self._topics.presence(self.device), b"online", retain=True)
                self._link.publish(self._topics.about(self.device), msgspec.json.encode(self._about), retain=True)
            self.board.connected(uptime())
            self._send()

    def closed(self) -> None:
        with self._lock:
            self._swapped = None
            self.board.disconnected()

    def received(self, topic: str, payload: bytes) -> None:
        try:
            ack = _ack(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        with self._changed:
            self.board.acked(ack.boot, ack.seq, uptime())
            self._send()
            self._changed.notify_all()
        if self.on_ack is not None:
            self.on_ack(self.device, ack.boot, ack.seq)

    def _send(self, *, swap: bool = False) -> None:
        packets = self.board.due(uptime())
        if not packets:
            return
        if swap and self._swapped is None:
            self._swapped = packets.pop()
        elif self._swapped is not None:
            packets.append(self._swapped)
            self._swapped = None
        for packet in packets:
            self._publish(packet)

    def _publish(self, packet: Packet) -> None:
        if self._link is not None:
            self._link.publish(f"{self._topics.devices}{self.device}/{packet.topic}", packet.payload)
