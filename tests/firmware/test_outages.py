"""The shipped firmware in a 28 KB heap, the real broker, the real agent: killed, silent, without a network, without power."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

from tests.agent import Agent
from tests.broker import Broker
from tests.firmware.unixboard import UnixBoard
from tests.waiting import eventually


def stored(agent: Agent) -> list[Any]:
    return agent.get("/devices/tank-1/readings", reading="count", since="1h", limit=5000)["items"]  # type: ignore[no-any-return]


def values(agent: Agent) -> list[int]:
    return [row["value"] for row in stored(agent)]


def counting(agent: Agent, n: int) -> bool:
    return len(agent.get("/devices")["items"]) > 0 and len(values(agent)) >= n


def test_readings_through_three_broker_kills_and_an_agent_kill_are_all_stored_once(
    tmp_path: Path, broker: Broker
) -> None:
    with Agent(tmp_path / "agent", broker.port) as agent:
        with UnixBoard(tmp_path / "board", broker.port, every=0.1) as board:
            for kill in range(3):
                eventually(lambda kill=kill: counting(agent, 20 * (kill + 1)), timeout=40)  # type: ignore[misc]
                broker.kill()
                time.sleep(0.5)
                broker.start()
            eventually(lambda: counting(agent, 80), timeout=40)
            agent.kill()
            time.sleep(1)
            agent.start()
            eventually(lambda: counting(agent, 200), timeout=60)
            board.kill()
        got = values(agent)
        assert sorted(got) == list(range(1, len(got) + 1))


def test_readings_without_a_clock_do_not_grow_old_in_the_broker_while_the_agent_is_away(
    tmp_path: Path, broker: Broker
) -> None:
    """The board is connected, so its broker would keep them; their ages would be those of the moment of sending."""
    with UnixBoard(tmp_path / "board", broker.port, every=0.2) as board:
        eventually(lambda: len(flash_numbers(board)) > 10)
        with Agent(tmp_path / "agent", broker.port) as agent:
            eventually(lambda: counting(agent, 40), timeout=40)
            agent.kill()
            time.sleep(3)
            agent.start()
            eventually(lambda: counting(agent, 70), timeout=40)
            began = sorted(row["t"] - 200 * row["value"] for row in stored(agent))
    assert began[-2] - began[0] < 1000, "ms; evenly, as they were measured, but for one that was on its way at the kill"


def test_power_cuts_at_random_moments_while_flash_is_written_lose_only_what_was_in_ram(
    tmp_path: Path, broker: Broker
) -> None:
    dice = random.Random(7)
    broker.stop()
    spilled = 0
    with UnixBoard(tmp_path / "board", broker.port, every=0.05) as board:
        board.after = "board.outbox.most = 2"
        for cut in range(12):
            board.start(sensors={"count": {"kind": "counter", "first": 1000 * cut}})
            before = len(flash_numbers(board))
            eventually(lambda before=before: len(flash_numbers(board)) > before + 3)  # type: ignore[misc]
            time.sleep(dice.uniform(0, 0.3))
            board.kill()
        spilled = len(flash_numbers(board))
        broker.start()
        with Agent(tmp_path / "agent", broker.port) as agent:
            board.start(sensors={})
            eventually(lambda: counting(agent, spilled), timeout=60)
            got = values(agent)
            assert sorted(set(got)) == sorted(got)
            assert set(got) == set(flash_numbers(board))


def flash_numbers(board: UnixBoard) -> list[int]:
    """The values in the flash's file that are whole, read without the firmware."""
    import re

    return [int(n) for n in re.findall(rb'R.{9}\{"count": (\d+)\}', (board.folder / "flash").read_bytes(), re.S)]
