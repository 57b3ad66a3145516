"""functions/webhook, run by AWS's client, against a real server that verifies with the official library."""

from __future__ import annotations

import base64
import json
import ssl
import threading

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from cloudevents.core.formats.json import JSONFormat
from standardwebhooks import Webhook, WebhookVerificationError

from edge_agent.domain.invocation import Failed
from tests.functions.real import stage
from tests.functions.real.receiver import Answer, Post, Receiver
from tests.functions.real.stage import FIRING, keep_secret
from tests.functions.shelf import Shelf
from tests.waiting import eventually

KEY = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(32)).decode()


def declare(shelf: Shelf, port: int, scheme: str = "http", **env: str) -> None:
    keep_secret(shelf, "webhook/secret", KEY + "\n")
    stage.declare(shelf, "webhook", {"WEBHOOK_URL": f"{scheme}://127.0.0.1:{port}/hook?from=shelf"} | env)


def verified(post: Post, key: str = KEY) -> dict[str, object]:
    return Webhook(key).verify(post.body, post.headers)  # type: ignore[no-any-return]


def test_the_official_libraries_accept_signature_and_event(shelf: Shelf, receiver: Receiver) -> None:
    declare(shelf, receiver.port)
    shelf.start()
    invocation = shelf.send("webhook", FIRING | {"message": "grüße 🌡"})
    assert shelf.end(invocation).state == "answered"
    (post,) = receiver.posts
    assert post.path == "/hook?from=shelf"
    assert verified(post)["data"] == FIRING | {"message": "grüße 🌡"}
    event = from_structured_event(HTTPMessage(headers=post.headers, body=post.body), JSONFormat())
    assert event.get_id() == invocation.id


def test_a_body_that_was_changed_or_another_key_is_told(shelf: Shelf, receiver: Receiver) -> None:
    declare(shelf, receiver.port)
    shelf.start()
    shelf.answer("webhook", FIRING)
    (post,) = receiver.posts
    with pytest.raises(WebhookVerificationError):
        verified(Post(post.path, post.headers, post.body.replace(b"18.2", b"81.2")))
    with pytest.raises(WebhookVerificationError):
        verified(post, OTHER)


def test_while_a_key_is_changed_both_verify_and_no_restart_is_needed(shelf: Shelf, receiver: Receiver) -> None:
    declare(shelf, receiver.port)
    shelf.start()
    shelf.answer("webhook", FIRING)
    keep_secret(shelf, "webhook/secret", f"{KEY}\n{OTHER}\n")
    shelf.answer("webhook", FIRING)
    first, second = receiver.posts
    assert verified(first)["data"] == verified(second)["data"]
    assert verified(second, OTHER)["data"] == FIRING
    assert shelf.engine.stats.starts["webhook"] == 1


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_receiver_that_is_busy_gets_the_same_id_with_a_fresh_signature(
    shelf: Shelf, receiver: Receiver, status: int
) -> None:
    receiver.answers = [Answer(status, b"busy")]
    declare(shelf, receiver.port)
    shelf.start()
    invocation = shelf.send("webhook", FIRING)
    assert shelf.end(invocation).attempt.number == 2
    first, second = receiver.posts
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert verified(second)
    outcome = shelf.settled(invocation)[0].outcome
    assert isinstance(outcome, Failed)
    assert f"127.0.0.1 answers {status}: busy" in outcome.reason


def test_retry_after_is_waited_for_within_one_attempt(shelf: Shelf, receiver: Receiver) -> None:
    receiver.answers = [Answer(429, b"slowly", (("Retry-After", "2"),))]
    declare(shelf, receiver.port)
    shelf.start()
    end = shelf.end(shelf.send("webhook", FIRING))
    assert (end.state, end.attempt.number) == ("answered", 1)
    early, late = (int(post.headers["webhook-timestamp"]) for post in receiver.posts)
    assert late - early >= 2


def test_a_retry_after_that_is_too_long_is_left_to_the_agent(shelf: Shelf, receiver: Receiver) -> None:
    receiver.answers = [Answer(503, b"at night", (("Retry-After", "36000"),))]
    declare(shelf, receiver.port)
    shelf.start()
    invocation = shelf.send("webhook", FIRING)
    assert shelf.end(invocation).attempt.number == 2
    outcome = shelf.settled(invocation)[0].outcome
    assert isinstance(outcome, Failed)
    assert "come back in 36000 s" in outcome.reason


@pytest.mark.parametrize("status", [400, 401, 404, 410])
def test_a_refusal_is_not_repeated_and_is_quoted(shelf: Shelf, receiver: Receiver, status: int) -> None:
    receiver.answers = [Answer(status, b"no such hook")]
    declare(shelf, receiver.port)
    shelf.start()
    end = shelf.end(shelf.send("webhook", FIRING))
    assert isinstance(end.outcome, Failed)
    assert (end.state, end.attempt.number) == ("dead", 1)
    assert end.outcome.reason == f"Permanent: 127.0.0.1 answers {status}: no such hook"
    assert len(receiver.posts) == 1


def test_a_redirect_is_not_followed(shelf: Shelf, receiver: Receiver) -> None:
    elsewhere = f"http://127.0.0.1:{receiver.port}/elsewhere"
    receiver.answers = [Answer(307, b"moved", (("Location", elsewhere),))]
    declare(shelf, receiver.port)
    shelf.start()
    failed = shelf.failure("webhook", FIRING)
    assert "answers 307" in failed.reason
    assert not failed.temporary
    assert [post.path for post in receiver.posts] == ["/hook?from=shelf"]


def test_a_receiver_that_drips_for_ever_is_hung_up_on(shelf: Shelf, receiver: Receiver) -> None:
    over = threading.Event()
    receiver.answers = [Answer(drip=over)]
    declare(shelf, receiver.port, WEBHOOK_TIMEOUT="1")
    shelf.start()
    try:
        invocation = shelf.send("webhook", FIRING)
        assert shelf.end(invocation).state == "answered"  # at the second attempt
        outcome = shelf.settled(invocation)[0].outcome
    finally:
        over.set()
    assert isinstance(outcome, Failed)
    assert "it took longer than 1 s" in outcome.reason


def test_tls_is_verified(shelf: Shelf, tls: ssl.SSLContext, ca_file: str) -> None:
    with Receiver(tls).serving() as receiver:
        declare(shelf, receiver.port, "https")
        shelf.start()
        assert "CERTIFICATE_VERIFY_FAILED" in shelf.failure("webhook", FIRING).reason
        assert receiver.posts == []
        declare(shelf, receiver.port, "https", WEBHOOK_CA_FILE=ca_file)
        shelf.engine.replace(shelf.functions)
        shelf.answer("webhook", FIRING)
        assert verified(receiver.posts[0])


def test_what_is_not_configured_is_named_and_the_event_waits(shelf: Shelf, receiver: Receiver) -> None:
    declare(shelf, receiver.port, WEBHOOK_URL="", WEBHOOK_TIMEOUT="soon")
    shelf.start()
    invocation = shelf.send("webhook", FIRING)
    eventually(lambda: "WEBHOOK_TIMEOUT is soon: write seconds" in shelf.engine.status()["webhook"]["last_error"])
    declare(shelf, receiver.port)
    shelf.engine.replace(shelf.functions)
    assert shelf.end(invocation).attempt.number == 1
    assert json.loads(receiver.posts[0].body)["id"] == invocation.id
