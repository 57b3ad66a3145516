"""A week without Wi-Fi, in compressed time: every reading comes out again with the time it was measured."""

from __future__ import annotations

import json
from pathlib import Path

from tests.firmware.unixboard import run

MINUTE = 60_000
DAY = 24 * 60

DAYS = """
import json
from edge import chip, outbox
from edge.ring import Ring
for day in range(7):
    ring = Ring(chip.flash())
    box = outbox.Outbox(bytes([day] * 8), ring, 12, 24, 256)
    if day % 2 == 0:
        box.clock(1_700_000_000_000 + day * 86_400_000)
    for minute in range(1440):
        box.hold(json.dumps({"n": day * 1440 + minute}).encode(), minute * 60_000)
        box.due(minute * 60_000)
    box.spill()
    print("day", day, box.pending, box.dropped)
"""

OUT = """
import json
from binascii import unhexlify
from edge import chip
from edge.outbox import Outbox
from edge.ring import Ring
box = Outbox(bytes([9] * 8), Ring(chip.flash()), 12, 24, 256)
box.clock(1_700_000_000_000 + 7 * 86_400_000)
now = 1000
box.connected(now)
box.attended = True
while True:
    packet = box.due(now)
    if packet is None:
        break
    text = b"".join(packet[1])
    got = json.loads(text)
    got = got if isinstance(got, list) else [got]
    for one in got:
        print(json.dumps([one["boot"][:2], one["seq"], one["t"], one.get("age"), one.get("after"), one["readings"]["n"]]))
    box.acked(unhexlify(got[-1]["boot"]), got[-1]["seq"], now)
print("left", box.pending, box.dropped)
"""


def test_a_week_with_a_power_cut_every_day_is_all_there_with_exact_times_or_honest_bounds(tmp_path: Path) -> None:
    (tmp_path / "flash").write_bytes(b"\xff" * 4096 * 128)
    run(DAYS, folder=tmp_path, heap="28K")
    lines = run(OUT, folder=tmp_path, heap="28K").splitlines()
    assert lines[-1] == "left 0 0"
    rows = [json.loads(line) for line in lines[:-1]]
    assert [row[5] for row in rows] == list(range(7 * DAY))
    now = 1_700_000_000_000 + 7 * DAY * MINUTE + 1000
    for boot, seq, t, age, after, n in rows:
        measured = 1_700_000_000_000 + n * MINUTE
        assert seq == n % DAY + 1
        if int(boot) % 2 == 0:
            assert t == measured
        else:
            assert t is None
            assert after <= measured <= now - age, "bounds on both sides, and true"
            assert now - age - after <= 2 * MINUTE, "which lie close together between two boots that knew the time"


def test_flash_takes_little_more_than_what_would_have_been_sent_and_wears_evenly(tmp_path: Path) -> None:
    (tmp_path / "flash").write_bytes(b"\xff" * 4096 * 16)
    said = run(
        """
import json
from edge import chip, outbox
from edge.ring import Ring
flash = chip.flash()
box = outbox.Outbox(bytes(8), Ring(flash), 12, 24, 256)
box.clock(1_700_000_000_000)
sent = 0
for n in range(6000):
    text = json.dumps({"temperature": 20 + n % 10, "humidity": 40 + n % 30}).encode()
    box.hold(text, n * 60_000)
    box.due(n * 60_000)
    sent += len(text) + len('{"boot":"0000000000000000","seq":12345,"t":1700000000000,"readings":}')
print(flash.partition.written, sent, box.pending, box.dropped)
""",
        folder=tmp_path,
    )
    written, payload, pending, dropped = map(int, said.split()[-4:])
    assert written <= 1.2 * payload, written / payload
    assert pending + dropped == 6_000
    assert dropped > 2_000, "the ring went round"
    erases = (tmp_path / "flash.erases").read_text().split()
    worn = [erases.count(str(sector)) for sector in range(16)]
    assert max(worn) - min(worn) <= 1
    print(f"{written / payload:.2f} bytes of flash per byte of payload; erases {min(worn)}-{max(worn)}")


def test_what_is_lost_from_a_full_ring_is_counted_and_the_agent_is_told_where_it_begins(tmp_path: Path) -> None:
    (tmp_path / "flash").write_bytes(b"\xff" * 4096 * 4)
    said = run(
        """
import json
from edge import chip, outbox
from edge.ring import Ring
box = outbox.Outbox(bytes(8), Ring(chip.flash()), 12, 24, 256)
for n in range(2000):
    box.hold(b'{"n":1}', n)
box.connected(3000)
box.attended = True
first = json.loads(b"".join(box.due(3000)[1]))[0]
print(first["seq"], first["oldest"], box.dropped, box.pending)
""",
        folder=tmp_path,
    )
    seq, oldest, dropped, pending = map(int, said.split()[-4:])
    assert seq == oldest == dropped + 1
    assert dropped + pending == 2000
