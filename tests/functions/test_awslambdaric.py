"""AWS's own Python client, unmodified, as a function here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_agent.domain.function import MAX_PAYLOAD, PoolSpec, RetrySpec
from edge_agent.domain.invocation import Failed, Succeeded
from tests.functions.shelf import AWSLAMBDARIC, Shelf
from tests.waiting import eventually

ONE = RetrySpec(attempts=1)


def test_an_event_goes_in_and_its_answer_comes_out(shelf: Shelf) -> None:
    shelf.python("echo", "def main(event, context):\n    return {'you said': event['data']}\n")
    shelf.start()
    assert shelf.answer("echo", {"text": "grüß dich 🌡 \u0000 \\"}) == {"you said": {"text": "grüß dich 🌡 \u0000 \\"}}


def test_what_was_answered_is_in_the_journal(shelf: Shelf) -> None:
    shelf.python("echo", "def main(event, context):\n    return event['data']\n")
    shelf.start()
    invocation = shelf.send("echo", 7)
    shelf.end(invocation)
    assert shelf.on_disk(invocation)["state"] == "answered"
    assert shelf.on_disk(invocation)["response"] == b"7"
    assert shelf.journal.pending_invocations() == []


CONTEXT = """
import os
def main(event, context):
    return {
        "request": context.aws_request_id, "name": context.function_name, "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb, "left": context.get_remaining_time_in_millis(),
        "trace": os.environ.get("_X_AMZN_TRACE_ID"), "version": context.function_version,
        "environment": sorted(os.environ), "cwd": os.getcwd(), "home": os.listdir(os.environ["HOME"]),
    }
"""


def test_the_context_tells_name_deadline_memory_and_trace(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_MQTT__PASSWORD", "of the agent")
    shelf.python("context", CONTEXT, timeout=20.0, env={"COLOUR": "blue"})
    shelf.start()
    event = b'{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}'
    invocation = shelf.send("context", event=event)
    outcome = shelf.outcome(invocation)
    assert isinstance(outcome, Succeeded)
    context = json.loads(outcome.response)
    assert context["request"] == shelf.end(invocation).attempt.request_id
    assert context["name"] == "context"
    assert context["arn"].endswith(":function:context")
    assert context["memory"] == "64"
    assert context["version"] == "$LATEST"
    assert 10_000 < context["left"] <= 20_000
    assert context["trace"] == "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1"
    assert context["cwd"] == str(shelf.folder / "code")
    assert "COLOUR" in context["environment"]
    assert "EDGE_MQTT__PASSWORD" not in context["environment"]
    assert context["home"] == []


def test_a_trace_without_a_parent_is_made_for_events_that_carry_none(shelf: Shelf) -> None:
    shelf.python("context", CONTEXT)
    shelf.start()
    trace = shelf.answer("context")["trace"]
    assert trace.startswith("Root=1-")
    assert [len(part) for part in trace.removeprefix("Root=").split("-")] == [1, 8, 24]


def test_an_error_is_tried_again_and_ends_with_reason_stack_trace_and_log(shelf: Shelf) -> None:
    shelf.python(
        "broken",
        "def main(event, context):\n    print('about to fail')\n    raise ValueError('no such pump')\n",
        retry=RetrySpec(attempts=2),
    )
    shelf.start()
    invocation = shelf.send("broken")
    outcome = shelf.outcome(invocation)
    assert isinstance(outcome, Failed)
    assert outcome.kind == "function-error"
    assert outcome.reason == "ValueError: no such pump (attempt 2 of 2)"
    assert "about to fail" in outcome.log
    assert "no such pump" in outcome.log
    assert any("raise ValueError" in line for line in json.loads(outcome.error)["stackTrace"])
    assert [settled.state for settled in shelf.settled(invocation)] == ["waiting", "dead"]
    assert len({settled.attempt.request_id for settled in shelf.settled(invocation)}) == 2
    dead = shelf.on_disk(invocation)
    assert (dead["state"], dead["attempts"], dead["kind"], dead["reason"]) == ("dead", 2, outcome.kind, outcome.reason)
    assert "about to fail" in dead["log"]


def test_an_error_with_a_very_long_message_still_arrives(shelf: Shelf) -> None:
    """The client repeats it in a header of up to 1 MiB."""
    shelf.python("long", "def main(event, context):\n    raise ValueError('x' * 300_000)\n", retry=ONE)
    shelf.start()
    failed = shelf.failure("long")
    assert failed.kind == "function-error"
    assert len(json.loads(failed.error)["errorMessage"]) == 300_000


def test_a_function_that_cannot_be_imported_costs_its_events_no_attempt(shelf: Shelf) -> None:
    shelf.python("unready", "import no_such_module\n", retry=RetrySpec(attempts=1, max_age=3.0))
    shelf.start()
    invocation = shelf.send("unready")
    failed = shelf.outcome(invocation)
    assert isinstance(failed, Failed)
    assert failed.kind == "expired"
    assert "waited longer than 3 s" in failed.reason
    assert "No module named 'no_such_module'" in failed.reason
    assert shelf.engine.stats.start_failures["unready"] >= 2
    assert shelf.on_disk(invocation)["state"] == "dead"


def test_a_function_that_is_mended_takes_up_the_events_that_waited(shelf: Shelf) -> None:
    shelf.python("later", "import no_such_module\n")
    shelf.start()
    invocation = shelf.send("later", 5)
    eventually(lambda: "no_such_module" in shelf.engine.status()["later"]["last_error"])
    shelf.write("mended.py", "def main(event, context):\n    return event['data'] + 1\n")
    shelf.declare("later", command=AWSLAMBDARIC, args=("mended.main",))
    shelf.engine.replace(shelf.functions)
    assert shelf.outcome(invocation) == Succeeded(b"6")
    assert shelf.end(invocation).attempt.number == 1


def test_a_shared_worker_serves_many_and_keeps_its_memory(shelf: Shelf) -> None:
    text = "seen = []\ndef main(event, context):\n    seen.append(event['id'])\n    return len(seen)\n"
    shelf.python("counter", text, isolation="shared", pool=PoolSpec(max_workers=1))
    shelf.start()
    assert [shelf.answer("counter") for _ in range(20)] == list(range(1, 21))
    assert shelf.engine.stats.starts["counter"] == 1


def test_a_fresh_worker_per_event_remembers_nothing(shelf: Shelf) -> None:
    text = (
        "import os, pathlib, tempfile\nseen = []\n"
        "def main(event, context):\n"
        "    seen.append(1)\n"
        "    mine = pathlib.Path(tempfile.gettempdir())\n"
        "    (mine / 'left-behind').mkdir(parents=True)\n"
        "    return [len(seen), os.getpid(), str(mine)]\n"
    )
    shelf.python("fresh", text, pool=PoolSpec(min_idle=1, max_workers=3))
    shelf.start()
    answers = [shelf.answer("fresh") for _ in range(5)]
    assert [count for count, _, _ in answers] == [1] * 5
    assert len({pid for _, pid, _ in answers}) == 5
    assert len({folder for _, _, folder in answers}) == 5
    eventually(lambda: not any(Path(folder).exists() for _, _, folder in answers))


@pytest.mark.parametrize("size", [1024, MAX_PAYLOAD - 20])
def test_events_and_answers_up_to_six_mebibytes_pass_whole(shelf: Shelf, size: int) -> None:
    shelf.python("large", "def main(event, context):\n    return event\n", isolation="shared")
    shelf.start()
    event = b'"' + b"x" * size + b'"'
    outcome = shelf.outcome(shelf.send("large", event=event))
    assert isinstance(outcome, Succeeded)
    assert outcome.response == event


def test_a_larger_answer_is_refused_and_never_tried_again(shelf: Shelf) -> None:
    shelf.python("flood", f"def main(event, context):\n    return 'x' * {MAX_PAYLOAD + 1000}\n", isolation="shared")
    shelf.start()
    invocation = shelf.send("flood")
    failed = shelf.outcome(invocation)
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.temporary) == ("oversize", False)
    assert len(shelf.settled(invocation)) == 1


def test_a_larger_event_is_not_handed_over(shelf: Shelf) -> None:
    shelf.python("never", "def main(event, context):\n    return 1\n")
    shelf.start()
    failed = shelf.failure("never", event=b'"' + b"x" * MAX_PAYLOAD + b'"')
    assert failed.kind == "oversize"
    assert shelf.engine.stats.starts["never"] == 0


def test_many_events_over_several_workers_are_each_answered_once(shelf: Shelf) -> None:
    text = "import time\ndef main(event, context):\n    time.sleep(0.01)\n    return event['data']\n"
    shelf.python("many", text, isolation="shared", pool=PoolSpec(max_workers=3))
    shelf.start()
    invocations = [shelf.send("many", number) for number in range(60)]
    assert [shelf.outcome(one) for one in invocations] == [Succeeded(b"%d" % n) for n in range(60)]
    assert len(shelf.settlements) == 60


def test_bytes_and_nothing_are_answers_too(shelf: Shelf) -> None:
    shelf.python("raw", "def main(event, context):\n    return b'\\x00\\xff' if event['data'] else None\n")
    shelf.start()
    raw = shelf.outcome(shelf.send("raw", True))
    assert isinstance(raw, Succeeded)
    assert raw.response == b"\x00\xff"
    assert shelf.answer("raw", False) is None
