"""functions/send-mail, run by AWS's client, against a real SMTP server with real TLS."""

from __future__ import annotations

import msgspec
import pytest

from edge_agent.domain.invocation import Failed, Succeeded
from tests.functions.real import stage
from tests.functions.real.conftest import Serve
from tests.functions.real.mailbox import PASSWORD, USER
from tests.functions.real.stage import FIRING, keep_secret
from tests.functions.shelf import Shelf
from tests.waiting import eventually

pytestmark = pytest.mark.filterwarnings(
    "ignore:Requiring AUTH while not requiring TLS"
)  # it is TLS from the first byte


def declare(shelf: Shelf, port: int, security: str, **env: str) -> None:
    settings = {
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(port),
        "SMTP_SECURITY": security,
        "SMTP_FROM": "Shelf <shelf@example.org>",
        "SMTP_TO": "ann@example.org, bob@example.org",
    }
    stage.declare(shelf, "send-mail", settings | env, secrets=("smtp",) if "SMTP_USER" in env else ())


def test_an_alert_becomes_a_mail(shelf: Shelf, serve: Serve) -> None:
    mailbox, port = serve("none")
    declare(shelf, port, "none")
    shelf.start()
    invocation = shelf.send("send-mail", FIRING)
    answer = msgspec.json.decode(shelf.outcome(invocation).response)  # type: ignore[union-attr]
    (mail,) = mailbox.mails
    assert mail["Subject"] == "[critical] tank-1 is down to 18.2 %"
    assert mail["To"] == "ann@example.org, bob@example.org"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert answer == {"sent": mail["Message-ID"], "to": ["ann@example.org", "bob@example.org"], "refused": {}}
    text = mail.get_content()
    assert "device:         tank-1" in text
    assert "level:          18.2 %" in text
    assert invocation.id in text
    assert mailbox.envelopes[0].rcpt_tos == ["ann@example.org", "bob@example.org"]


def test_a_repeated_attempt_sends_the_same_message_id(shelf: Shelf, serve: Serve) -> None:
    mailbox, port = serve("none")
    declare(shelf, port, "none")
    shelf.start()
    first, second = shelf.send("send-mail", FIRING), shelf.send("send-mail", FIRING)
    shelf.end(first), shelf.end(second)
    shelf.functions["send-mail"] = msgspec.structs.replace(shelf.functions["send-mail"], timeout=29.0)
    shelf.engine.replace(shelf.functions)  # other workers, the same ids
    shelf.engine.submit([first])
    eventually(lambda: len(mailbox.mails) == 3)
    ids = [mail["Message-ID"] for mail in mailbox.mails]
    assert ids[2] == ids[0] != ids[1]


def test_a_server_that_is_busy_gets_the_mail_at_the_next_attempt(shelf: Shelf, serve: Serve) -> None:
    mailbox, port = serve("none")
    mailbox.refuse = ["451 the mail room is closed for lunch"]
    declare(shelf, port, "none")
    shelf.start()
    invocation = shelf.send("send-mail", FIRING)
    assert shelf.end(invocation).attempt.number == 2
    assert len(mailbox.mails) == 1
    first = shelf.settled(invocation)[0].outcome
    assert isinstance(first, Failed)
    assert "closed for lunch" in first.reason


def test_a_server_that_refuses_for_good_is_asked_once_and_quoted_in_the_dead_letter(shelf: Shelf, serve: Serve) -> None:
    mailbox, port = serve("none")
    mailbox.refuse = ["554 no mail from sheds"]
    declare(shelf, port, "none")
    shelf.start()
    invocation = shelf.send("send-mail", FIRING)
    end = shelf.end(invocation)
    assert isinstance(end.outcome, Failed)
    assert (end.state, end.attempt.number, end.outcome.temporary) == ("dead", 1, False)
    assert end.outcome.reason == "Permanent: 127.0.0.1 says: 554 no mail from sheds"
    assert mailbox.mails == []


def test_a_recipient_who_is_unknown_does_not_keep_the_mail_from_the_others(shelf: Shelf, serve: Serve) -> None:
    mailbox, port = serve("none")
    mailbox.strangers = {"bob@example.org": "550 no such bob"}
    declare(shelf, port, "none")
    shelf.start()
    answer = shelf.answer("send-mail", FIRING)
    assert answer["to"] == ["ann@example.org"]
    assert answer["refused"] == {"bob@example.org": "550 no such bob"}
    assert mailbox.envelopes[0].rcpt_tos == ["ann@example.org"]


@pytest.mark.parametrize(("answer", "attempts"), [("550 no such person", 1), ("450 greylisted, try again", 2)])
def test_when_every_recipient_is_refused_it_matters_whether_for_good(
    shelf: Shelf, serve: Serve, answer: str, attempts: int
) -> None:
    mailbox, port = serve("none")
    mailbox.strangers = {"ann@example.org": answer, "bob@example.org": answer}
    declare(shelf, port, "none")
    shelf.start()
    end = shelf.end(shelf.send("send-mail", FIRING))
    assert isinstance(end.outcome, Failed)
    assert end.attempt.number == attempts
    assert f"bob@example.org: {answer}" in end.outcome.reason


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_it_encrypts_checks_the_certificate_and_signs_in(
    shelf: Shelf, serve: Serve, ca_file: str, security: str
) -> None:
    mailbox, port = serve(security, sign_in=True)
    keep_secret(shelf, "smtp/password", PASSWORD + "\n")
    declare(shelf, port, security, SMTP_USER=USER, SMTP_CA_FILE=ca_file)
    shelf.start()
    shelf.answer("send-mail", FIRING)
    assert mailbox.encrypted == [True]


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_certificate_nobody_vouches_for_ends_it_before_the_password_is_sent(
    shelf: Shelf, serve: Serve, security: str
) -> None:
    mailbox, port = serve(security, sign_in=True)
    keep_secret(shelf, "smtp/password", PASSWORD)
    declare(shelf, port, security, SMTP_USER=USER)
    shelf.start()
    assert "CERTIFICATE_VERIFY_FAILED" in shelf.failure("send-mail", FIRING).reason
    assert mailbox.mails == []


def test_a_server_without_starttls_gets_nothing(shelf: Shelf, serve: Serve) -> None:
    mailbox, port = serve("none")
    declare(shelf, port, "starttls")
    shelf.start()
    failed = shelf.failure("send-mail", FIRING)
    assert "STARTTLS extension not supported" in failed.reason
    assert not failed.temporary
    assert mailbox.mails == []


def test_a_changed_password_needs_no_restart(shelf: Shelf, serve: Serve, ca_file: str) -> None:
    mailbox, port = serve("tls", sign_in=True)
    keep_secret(shelf, "smtp/password", "wrong")
    declare(shelf, port, "tls", SMTP_USER=USER, SMTP_CA_FILE=ca_file)
    shelf.start()
    assert "535" in shelf.failure("send-mail", FIRING).reason
    keep_secret(shelf, "smtp/password", PASSWORD)
    shelf.answer("send-mail", FIRING)
    assert shelf.engine.stats.starts["send-mail"] == 1
    assert len(mailbox.mails) == 1


def test_a_device_cannot_add_a_header(shelf: Shelf, serve: Serve) -> None:
    mailbox, port = serve("none")
    declare(shelf, port, "none")
    shelf.start()
    shelf.answer("send-mail", FIRING | {"message": "low\r\nBcc: eve@example.org\r\n\r\nhello \u2028 grüße 🌡"})
    (mail,) = mailbox.mails
    assert mail["Bcc"] is None
    assert mail["Subject"] == "[critical] low Bcc: eve@example.org hello grüße 🌡"
    assert mailbox.envelopes[0].rcpt_tos == ["ann@example.org", "bob@example.org"]


def test_any_other_event_is_sent_too(shelf: Shelf, serve: Serve) -> None:
    mailbox, port = serve("none")
    declare(shelf, port, "none")
    shelf.start()
    shelf.answer("send-mail", [1, 2, 3])
    assert mailbox.mails[0]["Subject"] == "test"


def test_the_event_waits_and_is_sent_when_the_manifest_has_been_mended(shelf: Shelf, serve: Serve) -> None:
    mailbox, port = serve("none")
    declare(shelf, port, "none", SMTP_FROM="", SMTP_TO="")
    shelf.start()
    invocation = shelf.send("send-mail", FIRING)
    eventually(lambda: "SMTP_FROM is not set: write" in shelf.engine.status()["send-mail"]["last_error"])
    declare(shelf, port, "none")
    shelf.engine.replace(shelf.functions)
    assert isinstance(shelf.outcome(invocation), Succeeded)
    assert shelf.end(invocation).attempt.number == 1
    assert len(mailbox.mails) == 1
