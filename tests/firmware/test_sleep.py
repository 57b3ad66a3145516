"""Boards on a battery, and flash that is full."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

from tests.agent import Agent
from tests.broker import Broker
from tests.firmware.ntp import Ntp
from tests.firmware.test_outages import counting, stored, values
from tests.firmware.unixboard import UnixBoard, run
from tests.waiting import eventually


def test_a_board_that_sleeps_between_readings_is_one_boot_with_one_clock_and_delivers_each(
    tmp_path: Path, broker: Broker
) -> None:
    with Agent(tmp_path / "agent", broker.port) as agent, Ntp() as ntp:
        options = {"sleep": True, "every": 1, "ntp": [f"127.0.0.1:{ntp.port}"]}
        with UnixBoard(tmp_path / "board", broker.port, **options) as board:
            for _ in range(4):
                assert board.follow() == 43
            eventually(lambda: counting(agent, 4))
        rows = stored(agent)
        assert sorted(row["value"] for row in rows) == [1] * len(rows), "the counter begins anew at each start"
        assert len(agent.get("/devices")["items"]) == 1
        times = sorted(row["t"] for row in rows)
        gaps = [later - at for at, later in pairwise(times)]
        assert all(900 < gap < 3000 for gap in gaps), "ms: the clock went on while it slept"


def test_a_sleeping_board_without_a_network_keeps_its_readings_and_their_times(tmp_path: Path, broker: Broker) -> None:
    broker.stop()
    with Ntp() as ntp:
        options = {"sleep": True, "every": 1, "ntp": [f"127.0.0.1:{ntp.port}"]}
        with UnixBoard(tmp_path / "board", broker.port, **options) as board:
            board.before = "import edge.board; edge.board.AWAKE = 300"
            board.start()
            for _ in range(6):
                assert board.follow() == 43
            broker.start()
            with Agent(tmp_path / "agent", broker.port) as agent:
                board.before = ""
                eventually(lambda: board.follow() == 43 and counting(agent, 6), timeout=40)
                rows = stored(agent)
        times = sorted(row["t"] for row in rows)
        assert len(set(times)) == len(times)
        assert ntp.now() - 60_000 < times[0], "the time was known at the first start"


def test_from_full_flash_the_newest_readings_arrive_and_the_agent_waits_for_none_that_is_lost(
    tmp_path: Path, broker: Broker
) -> None:
    with UnixBoard(tmp_path / "board", broker.port, sectors=3) as board:
        board.kill()
        said = run(FILL % (time.time() * 1000), folder=tmp_path / "board", heap="28K")
        dropped, pending = map(int, said.split()[-2:])
        assert dropped > 0
        with Agent(tmp_path / "agent", broker.port) as agent:
            board.start(sensors={})
            eventually(lambda: counting(agent, pending), timeout=60)
            assert sorted(values(agent)) == list(range(1000 - pending + 1, 1001))
            board.kill()
        assert "left 0 " in run(LEFT, folder=tmp_path / "board"), "all of it is covered by acks"


FILL = """
import json
from edge import chip, outbox
from edge.ring import Ring
box = outbox.Outbox(bytes(8), Ring(chip.flash()), 12, 24, 256)
box.clock(%d)
for n in range(1000):
    box.hold(json.dumps({"count": n + 1}).encode(), n)
box.spill()
print(box.dropped, box.pending)
"""

LEFT = """
from edge import chip, outbox
from edge.ring import Ring
print("left", outbox.Outbox(bytes([1] * 8), Ring(chip.flash())).pending, "")
"""
