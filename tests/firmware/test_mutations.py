"""The checks of link, outbox and ring can fail: a fault put into each, one at a time, is caught by a check of a second."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.firmware.unixboard import FIRMWARE, run

LINK = """
from edge import link as module
module.PATIENCE = 200
got = []
link = module.Link("check", will=("will", "gone"), keep=30)
link.heard = lambda topic, payload: got.append((topic, bytes(payload)))
link.window = 2
link.pid = 65534
link.open("127.0.0.1", %d)
assert not link.session
link.subscribe("a/b")
first, second = link.publish("t", b"1"), link.publish("t", [b"2", b"3"], True)
assert (first, second) == (1, 2), (first, second)
assert link.publish("t", b"4") is None and link.room() == 0
try:
    while True:
        link.poll(50)
except module.Lost as error:
    assert str(error) == "no PUBACK", error
assert list(link.flight) == [2], link.flight
assert got == [("x", b"whole"), ("x", b"in pieces" + bytes(range(200))), ("x", b"after one too long")], got
"""
SAID = [
    b"\x10\x1d\x00\x04MQTT\x04\x2e\x00\x1e\x00\x05check\x00\x04will\x00\x04gone",
    b"\x82\x08\xff\xff\x00\x03a/b\x01",
    b"\x32\x06\x00\x01t\x00\x011",
    b"\x33\x07\x00\x01t\x00\x0223",
    b"\x40\x02\x00\x09",
    b"\x3b\x07\x00\x01t\x00\x0223",
]
"""CONNECT with a retained Will, SUBSCRIBE with the last packet identifier there is, two PUBLISH, PUBACK, the second again."""


def publish(payload: bytes, mid: bytes = b"") -> bytes:
    body = b"\x00\x01x" + mid + payload
    return bytes((0x32 if mid else 0x30, len(body) & 127 | 128, len(body) >> 7)) + body


def link(code: dict[str, str], folder: Path) -> None:
    said = b""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def broker() -> None:
            nonlocal said
            peer, _ = server.accept()
            with peer, contextlib.suppress(OSError):  # a link with a fault may hang up, or never
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                said += peer.recv(4096)
                peer.sendall(b"\x20\x02\x00\x00" + publish(b"whole", b"\x00\x09"))
                pieces = publish(b"in pieces" + bytes(range(200)))
                for at in range(0, len(pieces), 7):
                    peer.sendall(pieces[at : at + 7])
                    time.sleep(0.002)
                peer.sendall(publish(b"0" * 5000) + publish(b"after one too long") + b"\x40\x02\x00\x01")
                peer.settimeout(1)
                end = time.monotonic() + 3
                while time.monotonic() < end and (more := peer.recv(4096)):
                    said += more

        thread = threading.Thread(target=broker)
        thread.start()
        try:
            run(LINK % server.getsockname()[1], changed=code)
        finally:
            thread.join(10)
    assert sorted(said) == sorted(b"".join(SAID)), said
    assert said.startswith(SAID[0])
    assert all(packet in said for packet in SAID)


OUTBOX = """
import json
from edge.outbox import Outbox
mine = bytes(8)
box = Outbox(mine, None, 4, 3, 1000)
def due(now):
    packet = box.due(now)
    if packet is None:
        return None
    got = json.loads(b"".join(packet[1]))
    got = got if isinstance(got, list) else [got]
    assert packet[0] == ("readings/batch" if len(got) > 1 else "readings")
    return [one["seq"] for one in got], [one.get("oldest") for one in got], [one["t"] for one in got]
box.clock(5000)
for n in range(5):
    assert box.hold(b'{"n":1}', n) == n + 1
assert (box.pending, box.dropped) == (4, 1)
assert due(10) is None, "not connected"
box.connected(10)
assert due(10) == ([2, 3, 4], [2, None, None], [5001, 5002, 5003])
assert due(10) is None, "the window is full"
assert box.acked(mine, 3, 20) == 2 and box.acked(bytes([1] * 8), 9, 20) == 0
assert due(20)[0] == [5]
assert due(10_019) is None
assert due(10_020)[0] == [4, 5], "no ack for ten seconds"
assert due(30_019) is None, "then twenty"
assert due(30_020)[0] == [4, 5]
box.disconnected()
box.connected(30_030)
assert due(30_030)[0] == [4, 5], "what only a broker had"
assert box.acked(mine, 5, 30_040) == 2
assert (box.pending, due(99_000)) == (0, None)
"""

RING = """
from edge import chip
from edge.ring import Ring
flash = chip.flash()
ring = Ring(flash)
def all_of(ring):
    found, where = [], ring.tail
    while True:
        got = ring.read(where)
        if got is None:
            return found
        found.append(bytes(got[1]))
        where = ring.after(got[0], got[1])
written = [b"record %03d" % n + bytes(n % 50) for n in range(700)]
for each in written:
    last = ring.append(each)
again = all_of(Ring(flash))
assert again and again == written[-len(again):], "the newest, whole, in order"
assert len(again) >= 150, len(again)
flash.write(last[0] * 4096 + last[1] + 8, bytes(4))  # torn
ring = Ring(flash)
assert all_of(ring) == again[:-1]
ring.append(b"after the tear")
assert all_of(Ring(flash)) [-2:] == [again[-2], b"after the tear"]
"""


def outbox(code: dict[str, str], folder: Path) -> None:
    run(OUTBOX, changed=code)


def ring(code: dict[str, str], folder: Path) -> None:
    (folder / "flash").write_bytes(b"\xff" * 4096 * 4)
    run(RING, folder=folder, changed=code)


CHECKS = {"link": link, "outbox": outbox, "ring": ring}
FAULTS = [
    ("link", "self.pid = self.pid % 65535 + 1", "self.pid = self.pid % 65536 + 1"),
    ("link", "entry[0][0] |= 8", "entry[0][0] |= 1"),
    ("link", "flags |= 0x2C", "flags |= 0x0C"),
    ("link", "if self.room() <= 0:", "if self.room() < 0:"),
    ("link", "self.left = buf[at:]", 'self.left = b""'),
    ("link", "self.over = max(0, n - (end - i))", "self.over = 0"),
    ("link", "if qos and self.sock:", "if not qos and self.sock:"),
    ("link", "self.flight.pop(body[0] << 8 | body[1], None)", "self.flight.clear()"),
    ("outbox", "self.ram[0][0] <= self.mine.acked", "self.ram[0][0] < self.mine.acked"),
    ("outbox", "if count == 1:", "if count <= 2:"),
    ("outbox", "while self.sent < self.window:", "while True:"),
    ("outbox", "self.patience = min(2 * self.patience, RESEND_MOST)", "self.patience = RESEND"),
    ("outbox", "self.online = True\n        self.patience = RESEND\n        self._rewind(now)", "self.online = True"),
    ("outbox", "boot.say = seq > 1", "boot.say = False"),
    ("ring", 'if crc(bytes(head[:2]) + body) == check else b""', ""),
    ("ring", "if header and header[0] > self.lap:", "if header:"),
    ("ring", "self.at = at if body is None else SECTOR", "self.at = at"),
    ("ring", "self.flash.erase(sector)", "pass"),
]


@pytest.mark.parametrize("module", CHECKS)
def test_the_check_passes(module: str, tmp_path: Path) -> None:
    CHECKS[module]({}, tmp_path)


@pytest.mark.parametrize(("module", "right", "wrong"), FAULTS)
def test_a_fault_is_caught(module: str, right: str, wrong: str, tmp_path: Path) -> None:
    source = (FIRMWARE / "edge" / f"{module}.py").read_text()
    assert source.count(right) == 1, "the fault has no place any more"
    with pytest.raises(AssertionError):
        CHECKS[module]({f"edge/{module}.py": source.replace(right, wrong)}, tmp_path)
