"""Functions that follow others: recorded with the answer they follow, run after it, once for each answer."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge_agent.domain.event import DEPTH_MOST
from edge_agent.domain.function import RetrySpec
from edge_agent.domain.invocation import Failed, Invocation
from edge_agent.engine.triggers import Triggers
from edge_agent.ports import Entries
from tests.functions.shelf import Shelf
from tests.waiting import eventually

ANSWER = "echo '{\"n\": 1}'"


@pytest.fixture
def triggers(shelf: Shelf) -> Triggers:
    return Triggers("home", "own")


def start(shelf: Shelf, triggers: Triggers) -> None:
    triggers.replace(shelf.functions)
    shelf.start()
    shelf.engine.followers.append(triggers.of_answer)


def watch(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> list[Entries]:
    """Every commit from now on, as it is given to the journal."""
    seen: list[Entries] = []
    commit = shelf.journal.commit

    def recorded(entries: Entries, **more: Any) -> int:
        seen.append(entries)
        return commit(entries, **more)

    monkeypatch.setattr(shelf.journal, "commit", recorded)
    return seen


def ended(shelf: Shelf, id: str, function: str) -> dict[str, Any]:
    def over() -> dict[str, Any] | None:
        found = shelf.journal.invocation(id, function)
        return found[0] if found and found[0]["ended_at"] else None

    found = eventually(over, 60)
    assert found is not None
    return found


def test_who_follows_is_recorded_in_the_commit_of_the_answer_and_runs_after_it(
    shelf: Shelf, triggers: Triggers, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.shell("first", ANSWER)
    shelf.shell("then", ANSWER, results_of=("first",))
    start(shelf, triggers)
    seen = watch(shelf, monkeypatch)
    invocation = shelf.send("first")
    follower = ended(shelf, f"{invocation.id}~first", "then")
    assert follower["state"] == "answered"
    (entries,) = [entries for entries in seen if entries.invocations and entries.invocations[0].function == "then"]
    assert [(each.id, each.state) for each in entries.settlements] == [(invocation.id, "answered")]
    first = shelf.on_disk(invocation)
    assert first["phases"][-1]["answered"] <= follower["phases"][0]["dispatched"]
    assert triggers.started == {("then", "result"): 1}


def test_what_the_agent_recorded_and_never_came_to_dispatch_runs_in_its_next_life(
    shelf: Shelf, triggers: Triggers, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.shell("first", ANSWER)
    shelf.shell("then", ANSWER, results_of=("first",))
    start(shelf, triggers)
    shelf.engine._ledger.submit = lambda invocations: None  # the power goes before it is dispatched
    invocation = shelf.send("first")
    shelf.end(invocation)
    assert shelf.journal.flush()
    assert shelf.journal.invocation(f"{invocation.id}~first", "then")[0]["ended_at"] is None
    shelf.stop()
    start(shelf, triggers)
    assert ended(shelf, f"{invocation.id}~first", "then")["state"] == "answered"


def test_a_failure_is_followed_by_nobody_and_an_attempt_that_succeeds_later_once(
    shelf: Shelf, triggers: Triggers
) -> None:
    flag = shelf.folder / "failed"
    shelf.python(
        "moody",
        f"import os\ndef main(event, context):\n    if not os.path.exists({str(flag)!r}):\n"
        f"        open({str(flag)!r}, 'w').close()\n        raise RuntimeError('not now')\n    return {{'ok': True}}\n",
    )
    shelf.python("never", "def main(event, context):\n    raise RuntimeError('no')\n", retry=RetrySpec(1))
    shelf.shell("then", ANSWER, results_of=("moody", "never"))
    start(shelf, triggers)
    lost, found = shelf.send("never"), shelf.send("moody")
    assert shelf.end(lost).state == "dead"
    assert ended(shelf, f"{found.id}~moody", "then")["state"] == "answered"
    assert [each.state for each in shelf.settled(found)] == ["waiting", "answered"]
    assert shelf.journal.invocation(f"{lost.id}~never") == []
    assert triggers.started == {("then", "result"): 1}


def test_one_answer_starts_everybody_who_follows_with_the_same_event(shelf: Shelf, triggers: Triggers) -> None:
    shelf.shell("first", ANSWER)
    for name in ("a", "b", "c"):
        shelf.shell(name, ANSWER, results_of=("first",))
    start(shelf, triggers)
    invocation = shelf.send("first")
    events = {ended(shelf, f"{invocation.id}~first", name)["event"] for name in ("a", "b", "c")}
    assert len(events) == 1
    assert msgspec.json.decode(events.pop())["data"] == {"n": 1}


def test_an_answer_that_fits_no_event_is_a_dead_letter_that_says_so(shelf: Shelf, triggers: Triggers) -> None:
    shelf.python(
        "large", "def main(event, context):\n    return 'x' * (6 * 1024 * 1024 - 100)\n", memory=256 * 1024 * 1024
    )
    shelf.shell("then", ANSWER, results_of=("large",))
    start(shelf, triggers)
    invocation = shelf.send("large")
    found = ended(shelf, f"{invocation.id}~large", "then")
    assert (found["state"], found["kind"]) == ("dead", "oversize")


def test_a_chain_ends_where_it_is_too_deep_and_says_which_way_it_went(shelf: Shelf, triggers: Triggers) -> None:
    shelf.shell("last", ANSWER)
    shelf.shell("more", ANSWER, results_of=("last",))
    start(shelf, triggers)
    event = {"specversion": "1.0", "id": "x", "edgedepth": DEPTH_MOST, "edgecause": "rule:low > a > b"}
    invocation = shelf.send("last", event=msgspec.json.encode(event))
    assert ended(shelf, invocation.id, "last")["state"] == "answered", "as deep as is allowed"
    found = ended(shelf, f"{invocation.id}~last", "more")
    assert (found["state"], found["kind"], found["attempts"]) == ("dead", "too-deep", 1)
    assert found["reason"] == "it is step 17 of a chain of functions, and 16 are run: rule:low > a > b > last"


def test_a_defect_while_looking_for_followers_harms_nobody(
    shelf: Shelf, triggers: Triggers, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.shell("first", ANSWER)
    start(shelf, triggers)

    def broken(settled: Any, invocation: Any) -> list[Invocation]:
        raise ZeroDivisionError

    shelf.engine.followers.insert(0, broken)
    assert shelf.answer("first") == {"n": 1}
    assert not isinstance(shelf.outcome(shelf.send("first")), Failed)
    assert "could not be found out" in caplog.text
