"""What every client is owed, written once and tried with each: events, answers, errors, context, limits, isolation."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from edge_agent.domain.function import MAX_PAYLOAD, PoolSpec, RetrySpec
from edge_agent.domain.invocation import Failed, Invocation, Succeeded
from tests.functions.contract.clients import Client
from tests.functions.shelf import Shelf
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)  # the first test of a language may have to build it

ONE = RetrySpec(attempts=1)
ALONE = PoolSpec(max_workers=1)

TEXTS = [
    "grüß dich 🌡", "\\ \" ' / \b\f\n\r\t", "\u0000\u001f\u007f\u0080", "\u2028\u2029\ufeff", "עברית العربية 中文",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "\U0001f469\u200d\U0001f467", "${HOME} `id` $(id) %s %n", "</script>&amp;",
]  # fmt: skip


def event_of(size: int) -> bytes:
    """An event of exactly so many bytes."""
    head, tail = b'{"id":"1","data":{"do":"length"},"pad":"', b'"}'
    return head + b"x" * (size - len(head) - len(tail)) + tail


def answer(shelf: Shelf, data: dict[str, Any], **changes: Any) -> Any:
    return shelf.answer("tried", data, **changes)


def test_text_of_any_kind_goes_in_and_comes_out(shelf: Shelf, client: Client) -> None:
    client.declare(shelf)
    shelf.start()
    data = {"do": "echo", "texts": TEXTS, "größe ✓": {"": []}, "numbers": [0, -1, 2**53 - 1, 18.25, 1e-7], "on": True}
    assert answer(shelf, data)["data"] == data


def test_the_event_and_its_answer_may_have_six_mebibytes_and_not_one_byte_more(shelf: Shelf, client: Client) -> None:
    client.declare(shelf, isolation="shared", pool=ALONE)
    shelf.start()
    whole = event_of(MAX_PAYLOAD)
    assert shelf.answer("tried", event=whole) == whole.count(b"x")
    outcome = shelf.outcome(shelf.send("tried", {"do": "fill", "count": MAX_PAYLOAD - 2}))
    assert isinstance(outcome, Succeeded)
    assert outcome.response == b'"' + b"x" * (MAX_PAYLOAD - 2) + b'"'
    larger = shelf.failure("tried", {"do": "fill", "count": MAX_PAYLOAD - 1})
    assert (larger.kind, larger.temporary) == ("oversize", False)
    assert larger.reason == f"its answer is larger than {MAX_PAYLOAD} bytes"
    refused = shelf.failure("tried", event=event_of(MAX_PAYLOAD + 1))
    assert (refused.kind, refused.temporary) == ("oversize", False)
    assert f"{MAX_PAYLOAD}" in refused.reason
    assert answer(shelf, {"do": "who"})["served"] >= 1  # it goes on, or another one does


def test_bytes_that_are_no_json_come_out_as_they_are(shelf: Shelf, client: Client) -> None:
    client.declare(shelf, **client.raw)
    shelf.start()
    outcome = shelf.outcome(shelf.send("tried", {"do": "raw"}))
    assert isinstance(outcome, Succeeded)
    prelude, nulls, streamed = outcome.response.partition(
        bytes(8)
    )  # streams of the kind that HTTP is made of have both
    assert (streamed if nulls else prelude) == client.sends


def test_the_context_has_every_field(shelf: Shelf, client: Client) -> None:
    client.declare(shelf, timeout=20.0)
    shelf.start()
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    event = json.dumps({"id": "1", "traceparent": parent, "data": {"do": "context"}}, separators=(",", ":")).encode()
    invocation = shelf.send("tried", event=event)
    outcome = shelf.outcome(invocation)
    assert isinstance(outcome, Succeeded), outcome
    told = msgspec.json.decode(outcome.response)
    assert 5_000 < told.pop("left") <= 20_999  # a shell knows whole seconds only
    assert told.pop("stream").startswith("tried-")
    assert (told.pop("identity", None), told.pop("client", None)) == (None, None)
    assert told == {
        "request": shelf.end(invocation).attempt.request_id,
        "function": "tried",
        "version": "$LATEST",
        "arn": "arn:aws:lambda:edge:000000000000:function:tried",
        "memory": client.memory,
        "group": "/edge/tried",
        "trace": "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1",
    }


def test_an_error_arrives_with_type_message_trace_and_log(shelf: Shelf, client: Client) -> None:
    client.declare(shelf, retry=RetrySpec(attempts=2))
    shelf.start()
    invocation = shelf.send("tried", {"do": "fail"})
    failed = shelf.outcome(invocation)
    assert isinstance(failed, Failed)
    assert failed.kind == "function-error"
    assert failed.reason == f"{client.error_type}: no water: größer 🌡 (attempt 2 of 2)"
    assert "about to fail: größe" in failed.log
    dead = shelf.on_disk(invocation)
    assert (dead["state"], dead["kind"], dead["reason"]) == ("dead", failed.kind, failed.reason)
    assert (dead["attempts"], "about to fail: größe" in dead["log"]) == (2, True)
    document = json.loads(dead["response"])
    assert document["errorType"] == client.error_type
    assert document["errorMessage"] == "no water: größer 🌡"
    if client.stack:
        assert client.frame in json.dumps(document[client.stack])
    first, second = shelf.settled(invocation)
    assert (first.state, second.state) == ("waiting", "dead")
    assert first.attempt.request_id != second.attempt.request_id


def test_an_error_in_the_middle_of_the_answer_is_an_error(shelf: Shelf, client: Client) -> None:
    client.declare(shelf, retry=ONE, **(client.breaks or {}))
    shelf.start()
    if client.breaks is None:  # it sends an answer when it has all of it
        assert shelf.failure("tried", {"do": "fail"}).kind == "function-error"
        return
    if client.breaks_as_text:
        outcome = shelf.outcome(shelf.send("tried", {"do": "break"}))
        assert isinstance(outcome, Succeeded)
        assert b"half of itLambda-Runtime-Function-Error-Type: " in outcome.response
        return
    failed = shelf.failure("tried", {"do": "break"})
    assert (failed.kind, failed.reason) == ("function-error", f"{client.error_type}: no water: größer 🌡")
    assert json.loads(failed.error)["errorMessage"] == "no water: größer 🌡"


def test_a_function_that_cannot_initialise_says_why_and_costs_no_attempt(shelf: Shelf, client: Client) -> None:
    client.declare(shelf, env={"CONTRACT_INIT": "fail"})
    shelf.start()
    invocation = shelf.send("tried", {"do": "who"})
    eventually(lambda: "no driver for größe" in shelf.engine.status()["tried"]["last_error"], 60)
    reason = shelf.engine.status()["tried"]["last_error"]
    assert ("its initialisation failed: " in reason) is client.reports_init
    client.declare(shelf)
    shelf.engine.replace(shelf.functions)
    assert isinstance(shelf.outcome(invocation), Succeeded)
    assert shelf.end(invocation).attempt.number == 1


def test_a_function_past_its_deadline_is_ended_and_another_goes_on(shelf: Shelf, client: Client) -> None:
    client.declare(shelf, isolation="shared", pool=ALONE, timeout=1.5, retry=ONE)
    shelf.start()
    before = answer(shelf, {"do": "who"})
    failed = shelf.failure("tried", {"do": "sleep", "seconds": 1000})
    assert (failed.kind, failed.reason) == ("timeout", "did not answer within 1.5 s")
    after = answer(shelf, {"do": "who"})
    assert after["pid"] != before["pid"]
    assert after["served"] == 1


def test_a_function_that_crashes_leaves_its_last_words_and_is_replaced(shelf: Shelf, client: Client) -> None:
    client.declare(shelf, isolation="shared", pool=ALONE, retry=ONE)
    shelf.start()
    failed = shelf.failure("tried", {"do": "print"})
    assert (failed.kind, failed.reason) == ("worker-lost", "its worker exited with code 3 before it answered")
    assert "to standard output: größe" in failed.log
    assert "to standard error: größe" in failed.log
    assert answer(shelf, {"do": "who"})["served"] == 1


def test_a_shared_worker_serves_one_event_after_the_other(shelf: Shelf, client: Client) -> None:
    client.declare(shelf, isolation="shared", pool=ALONE)
    shelf.start()
    told = [answer(shelf, {"do": "who"}) for _ in range(10)]
    assert [one["served"] for one in told] == list(range(1, 11))
    assert len({one["pid"] for one in told}) == 1


def test_a_fresh_worker_serves_one_event_only(shelf: Shelf, client: Client) -> None:
    client.declare(shelf, isolation="pod", pool=PoolSpec(min_idle=1, max_workers=2))
    shelf.start()
    told = [answer(shelf, {"do": "who"}) for _ in range(4)]
    assert [one["served"] for one in told] == [1] * 4
    assert len({one["pid"] for one in told}) == 4


def test_a_worker_of_isolation_process_stays_and_has_a_fresh_process_for_each_event(
    shelf: Shelf, client: Client
) -> None:
    client.declare(shelf, isolation="process", pool=ALONE)
    shelf.start()
    told = [answer(shelf, {"do": "who"}) for _ in range(4)]
    assert [one["served"] for one in told] == [1] * 4
    assert len({one["pid"] for one in told}) == 4
    assert shelf.engine.stats.starts["tried"] == 1


def test_events_over_several_workers_are_each_answered_once_by_one_of_them(shelf: Shelf, client: Client) -> None:
    client.declare(shelf, isolation="shared", pool=PoolSpec(min_idle=3, max_workers=3))
    shelf.start()
    shelf.idle("tried", 3)
    invocations = [shelf.send("tried", {"do": "who", "seconds": 0.02}) for _ in range(45)]
    told = [_decoded(shelf, invocation) for invocation in invocations]
    assert [one["id"] for one in told] == [invocation.id for invocation in invocations]
    assert len({one["pid"] for one in told}) == 3
    assert len(shelf.settlements) == 45


def _decoded(shelf: Shelf, invocation: Invocation) -> Any:
    outcome = shelf.outcome(invocation)
    assert isinstance(outcome, Succeeded), outcome
    return msgspec.json.decode(outcome.response)
