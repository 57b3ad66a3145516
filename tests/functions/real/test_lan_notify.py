"""functions/lan-notify against a real server that answers as ntfy and Gotify document it."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec
import pytest

from edge_agent.domain.invocation import Failed
from tests.broker import free_port
from tests.functions.real import stage
from tests.functions.real.receiver import Answer, Post, Receiver
from tests.functions.real.stage import FIRING, keep_secret
from tests.functions.shelf import Shelf
from tests.waiting import eventually

TOKEN = "tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2"


def ntfy(receiver: Receiver) -> Callable[[Post], Answer]:
    """ntfy ("Publish as JSON") and Gotify ("POST /message"), with their errors."""

    def choose(post: Post) -> Answer:
        body = json.loads(post.body)
        if post.path == "/message":
            good = post.headers.get("x-gotify-key") == "AbCdEfGh12345"
            return Answer(200, b'{"id":1}') if good else Answer(401, b'{"error":"Unauthorized","errorCode":401}')
        if body["topic"] == "private" and post.headers.get("authorization") != f"Bearer {TOKEN}":
            return Answer(403, b'{"code":40301,"http":403,"error":"forbidden"}')
        answer = {"id": "x" * 12, "time": 1, "expires": 2, "event": "message", "topic": body["topic"]}
        return Answer(200, msgspec.json.encode(answer), (("Content-Type", "application/json"),))

    return choose


@pytest.fixture
def server(receiver: Receiver) -> Receiver:
    receiver.choose = ntfy(receiver)
    return receiver


def begin(shelf: Shelf, *targets: str) -> None:
    keep_secret(shelf, "lan-notify/targets", "\n".join(targets) + "\n")
    stage.declare(shelf, "lan-notify", {})
    shelf.start()


def test_ntfy_gets_title_message_and_priority(shelf: Shelf, server: Receiver) -> None:
    begin(shelf, f"phone ntfy://127.0.0.1:{server.port}/shelf")
    assert shelf.answer("lan-notify", FIRING) == {"delivered": ["phone"], "failed": {}}
    (post,) = server.posts
    body = json.loads(post.body)
    assert (body["topic"], body["title"]) == ("shelf", "critical: tank-1")
    assert post.headers["x-priority"] == "high"
    assert body["message"].strip() == "tank-1 is down to 18.2 %"


def test_a_token_opens_a_private_topic_and_gotify_is_told_too(shelf: Shelf, server: Receiver) -> None:
    here = f"127.0.0.1:{server.port}"
    begin(shelf, f"phone ntfy://{TOKEN}@{here}/private", f"desk gotify://{here}/AbCdEfGh12345")
    assert shelf.answer("lan-notify", FIRING)["delivered"] == ["phone", "desk"]
    assert sorted(post.path for post in server.posts) == ["/", "/message"]


def test_one_target_that_fails_does_not_stop_the_others_and_shows_no_token(shelf: Shelf, server: Receiver) -> None:
    here, away = f"127.0.0.1:{server.port}", f"127.0.0.1:{free_port()}"
    begin(shelf, f"away ntfy://{away}/shelf", f"wrong ntfy://tk_wrong@{here}/private", f"phone ntfy://{here}/shelf")
    invocation = shelf.send("lan-notify", FIRING)
    end = shelf.end(invocation)
    answer = msgspec.json.decode(end.outcome.response)  # type: ignore[union-attr]
    assert answer["delivered"] == ["phone"]
    assert set(answer["failed"]) == {"away", "wrong"}
    assert "tk_wrong" not in json.dumps(answer)
    assert [json.loads(post.body)["topic"] for post in server.posts].count("shelf") == 1, "told twice"
    assert end.attempt.number == 1


def test_a_target_that_fails_once_is_told_at_the_second_try(shelf: Shelf, receiver: Receiver) -> None:
    receiver.answers = [Answer(503, b"busy")]
    begin(shelf, f"phone ntfy://127.0.0.1:{receiver.port}/shelf")
    assert shelf.answer("lan-notify", FIRING)["delivered"] == ["phone"]
    assert len(receiver.posts) == 2


def test_when_nobody_can_be_told_the_event_is_tried_again(shelf: Shelf) -> None:
    begin(shelf, f"phone ntfy://127.0.0.1:{free_port()}/hidden-topic")
    end = shelf.end(shelf.send("lan-notify", FIRING))
    assert isinstance(end.outcome, Failed)
    assert end.attempt.number == 2
    assert "nobody could be told: phone: A Connection error occurred" in end.outcome.reason
    assert "hidden-topic" not in end.outcome.reason + end.outcome.log


def test_a_new_target_needs_no_restart(shelf: Shelf, server: Receiver) -> None:
    here = f"127.0.0.1:{server.port}"
    begin(shelf, f"phone ntfy://{here}/shelf")
    shelf.answer("lan-notify", FIRING)
    keep_secret(shelf, "lan-notify/targets", f"phone ntfy://{here}/shelf\ndesk gotify://{here}/AbCdEfGh12345\n")
    assert shelf.answer("lan-notify", FIRING)["delivered"] == ["phone", "desk"]
    assert shelf.engine.stats.starts["lan-notify"] == 1


def test_what_is_not_configured_is_named(shelf: Shelf) -> None:
    keep_secret(shelf, "lan-notify/targets", "phone fax://10.0.0.2\n")
    stage.declare(shelf, "lan-notify", {})
    shelf.start()
    shelf.send("lan-notify", FIRING)
    said = "line 1: phone has no address apprise knows: write for example phone ntfy://"
    eventually(lambda: said in shelf.engine.status()["lan-notify"]["last_error"])
