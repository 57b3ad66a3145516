"""The agent goes away in the middle and comes back: clients that broke are replaced, no event is lost, attempts are counted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from edge_agent.domain.invocation import Succeeded
from tests.functions.contract.agent import TWO
from tests.functions.contract.clients import Client
from tests.functions.shelf import Shelf
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)


def test_an_agent_killed_in_the_middle_takes_up_every_event_again(tmp_path: Path, client: Client) -> None:
    command = [sys.executable, "-m", "tests.functions.contract.agent", str(tmp_path), client.language, "8", "0.4"]
    agent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3])
    try:
        assert agent.stdout is not None
        assert agent.stdout.readline() == "busy\n"
    finally:
        agent.kill()
        agent.communicate()
    shelf = Shelf(tmp_path)
    client.declare(shelf, isolation="shared", pool=TWO)
    shelf.start()
    try:
        pending = shelf.journal.pending_invocations()
        assert len(pending) == 8  # none of them had ended
        answered = [(shelf.end(invocation), shelf.on_disk(invocation)) for invocation in pending]
        assert {on_disk["state"] for _, on_disk in answered} == {"answered"}
        assert {settled.attempt.number for settled, _ in answered} == {2}  # each may have been handed over before
        assert len(shelf.settlements) == 8
    finally:
        shelf.stop()


def test_an_event_whose_worker_finds_nobody_to_answer_to_is_tried_again_by_a_fresh_one(
    shelf: Shelf, client: Client
) -> None:
    client.declare(shelf, isolation="shared", pool=TWO, timeout=10.0)
    shelf.start()
    before = both(shelf)
    running = shelf.send("tried", {"do": "who", "seconds": 1})
    eventually(lambda: shelf.engine.status()["tried"]["workers"]["busy"] == 1)
    shelf.loop.ask(shelf.server.close_all)  # one waits in `next`, one is at work
    assert isinstance(shelf.outcome(running), Succeeded)
    assert [settled.state for settled in shelf.settled(running)] == ["waiting", "answered"]
    assert shelf.end(running).attempt.number == 2
    assert shelf.answer("tried", {"do": "who"})["pid"] not in before


def test_connections_that_break_cost_no_event_and_no_attempt(shelf: Shelf, client: Client) -> None:
    client.declare(shelf, isolation="shared", pool=TWO)
    shelf.start()
    both(shelf)
    running = shelf.send("tried", {"do": "who", "seconds": 1})
    eventually(lambda: shelf.engine.status()["tried"]["workers"]["busy"] == 1)
    shelf.loop.ask(lambda: [door.hang_up(drain=False) for door in shelf.server._doors.values()])
    assert isinstance(shelf.outcome(running), Succeeded)  # answered over a new connection
    assert shelf.end(running).attempt.number == 1
    both(shelf)  # who waited has come back, or was replaced


def both(shelf: Shelf) -> set[int]:
    """Have both workers answer; their process ids."""
    shelf.idle("tried", 2)
    sent = [shelf.send("tried", {"do": "who", "seconds": 0.3}) for _ in range(2)]
    outcomes = [shelf.outcome(invocation) for invocation in sent]
    pids = {msgspec.json.decode(outcome.response)["pid"] for outcome in outcomes if isinstance(outcome, Succeeded)}
    assert len(pids) == 2
    return pids
