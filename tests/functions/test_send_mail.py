"""functions/send-mail, run by AWS's client, against a real SMTP server with real TLS."""

from __future__ import annotations

import email
import email.policy
import ssl
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from edge_agent.domain.function import RetrySpec
from edge_agent.domain.invocation import Failed
from edge_agent.manifests import load_folder
from tests.broker import free_port
from tests.functions.shelf import Shelf
from tests.waiting import eventually

pytestmark = pytest.mark.filterwarnings(
    "ignore:Requiring AUTH while not requiring TLS"
)  # it is TLS from the first byte

FOLDER = Path(__file__).parents[2] / "functions" / "send-mail"
FIRING = {
    "device": "tank-1",
    "reading": "level",
    "value": 18.2,
    "unit": "%",
    "rule": "tank-low",
    "state": "firing",
    "severity": "critical",
    "message": "tank-1 is down to 18.2 %",
    "readings": {"level": 18.2, "door": True},
    "previous": 19.9,
}


class Mailbox:
    """An SMTP server's memory. `refuse` answers so many mails with a temporary failure first."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.envelopes: list[Envelope] = []
        self.encrypted: list[bool] = []
        self.refuse = 0

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.refuse:
            self.refuse -= 1
            return "451 the mail room is closed for lunch"
        self.mails.append(email.message_from_bytes(envelope.content or b"", policy=email.policy.default))  # type: ignore[arg-type]
        self.envelopes.append(envelope)
        self.encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        return "250 taken"


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    return context


Serve = Callable[..., tuple[Mailbox, int]]


@pytest.fixture
def serve(tls: ssl.SSLContext) -> Iterator[Serve]:
    """Start a mail server: `serve(security)` gives its mailbox and port."""
    running: list[Controller] = []

    def authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _how: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"shelf", b"pass word ")
        return AuthResult(success=good, handled=False)

    def start(security: str, *, sign_in: bool = False) -> tuple[Mailbox, int]:
        mailbox, port = Mailbox(), free_port()
        options: dict[str, Any] = {"authenticator": authenticate, "auth_required": True} if sign_in else {}
        match security:
            case "tls":
                controller = Controller(mailbox, "127.0.0.1", port, ssl_context=tls, auth_require_tls=False, **options)
            case "starttls":
                controller = Controller(mailbox, "127.0.0.1", port, tls_context=tls, require_starttls=True, **options)
            case _:
                controller = Controller(mailbox, "127.0.0.1", port)
        controller.start()
        running.append(controller)
        return mailbox, port

    yield start
    for controller in running:
        controller.stop()


def declare(shelf: Shelf, port: int, security: str, **env: str) -> None:
    """The function as its own manifest has it, with this server's address."""
    spec = load_folder(FOLDER).functions["send-mail"]
    settings = {
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(port),
        "SMTP_SECURITY": security,
        "SMTP_FROM": "Shelf <shelf@example.org>",
        "SMTP_TO": "ann@example.org, bob@example.org",
    }
    secrets = ("smtp",) if "SMTP_USER" in env else ()
    shelf.functions["send-mail"] = msgspec.structs.replace(
        spec, env=settings | env, secrets=secrets, retry=RetrySpec(attempts=2)
    )


def keep_secret(shelf: Shelf, password: str) -> None:
    (shelf.folder / "secrets" / "smtp").mkdir(exist_ok=True)
    (shelf.folder / "secrets" / "smtp" / "password").write_text(password)


def test_the_manifest_is_valid_and_names_this_folder() -> None:
    spec = load_folder(FOLDER).functions["send-mail"]
    assert Path(spec.source) == FOLDER
    assert spec.args == ("send_mail.handler",)


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
    assert answer == {"sent": mail["Message-ID"], "to": ["ann@example.org", "bob@example.org"], "refused": []}
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
    mailbox.refuse = 1
    declare(shelf, port, "none")
    shelf.start()
    invocation = shelf.send("send-mail", FIRING)
    assert shelf.end(invocation).attempt.number == 2
    assert len(mailbox.mails) == 1
    first = shelf.settled(invocation)[0].outcome
    assert isinstance(first, Failed)
    assert "closed for lunch" in first.reason


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_it_encrypts_checks_the_certificate_and_signs_in(
    shelf: Shelf, serve: Serve, ca: trustme.CA, security: str
) -> None:
    mailbox, port = serve(security, sign_in=True)
    ca.cert_pem.write_to_path(str(shelf.folder / "ca.pem"))
    keep_secret(shelf, "pass word \n")
    declare(shelf, port, security, SMTP_USER="shelf", SMTP_CA_FILE=str(shelf.folder / "ca.pem"))
    shelf.start()
    shelf.answer("send-mail", FIRING)
    assert mailbox.encrypted == [True]


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_certificate_nobody_vouches_for_ends_it_before_the_password_is_sent(
    shelf: Shelf, serve: Serve, security: str
) -> None:
    mailbox, port = serve(security, sign_in=True)
    keep_secret(shelf, "pass word ")
    declare(shelf, port, security, SMTP_USER="shelf")
    shelf.start()
    assert "CERTIFICATE_VERIFY_FAILED" in shelf.failure("send-mail", FIRING).reason
    assert mailbox.mails == []


def test_a_changed_password_needs_no_restart(shelf: Shelf, serve: Serve, ca: trustme.CA) -> None:
    mailbox, port = serve("tls", sign_in=True)
    ca.cert_pem.write_to_path(str(shelf.folder / "ca.pem"))
    keep_secret(shelf, "wrong")
    declare(shelf, port, "tls", SMTP_USER="shelf", SMTP_CA_FILE=str(shelf.folder / "ca.pem"))
    shelf.start()
    assert "SMTPAuthenticationError" in shelf.failure("send-mail", FIRING).reason
    keep_secret(shelf, "pass word ")
    shelf.answer("send-mail", FIRING)
    assert shelf.engine.stats.starts["send-mail"] == 1
    assert len(mailbox.mails) == 1


def test_a_password_is_never_sent_in_the_open(shelf: Shelf, serve: Serve) -> None:
    mailbox, port = serve("none")
    keep_secret(shelf, "pass word ")
    declare(shelf, port, "none", SMTP_USER="shelf")
    shelf.start()
    assert "never sent unencrypted" in shelf.failure("send-mail", FIRING).reason
    assert mailbox.mails == []


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


def test_what_is_not_configured_is_named(shelf: Shelf) -> None:
    declare(shelf, 25, "starttls", SMTP_FROM="", SMTP_TO="")
    shelf.start()
    assert "not set: SMTP_FROM, SMTP_TO" in shelf.failure("send-mail", FIRING).reason
