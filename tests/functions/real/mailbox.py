"""A real SMTP server (aiosmtpd) that keeps what it takes, and refuses what it is told to."""

from __future__ import annotations

import email
import email.policy
import ssl
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.broker import free_port

USER, PASSWORD = "shelf", "pass word "


class Mailbox:
    """`refuse` are the next answers to a mail, and `strangers` to a recipient, instead of taking it."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.envelopes: list[Envelope] = []
        self.encrypted: list[bool] = []
        self.refuse: list[str] = []
        self.strangers: dict[str, str] = {}

    async def handle_RCPT(self, *given: Any) -> str:  # noqa: N802 - aiosmtpd's name
        _server, _session, envelope, address, _options = given
        if address in self.strangers:
            return self.strangers[address]
        envelope.rcpt_tos.append(address)
        return "250 known"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.refuse:
            return self.refuse.pop(0)
        self.mails.append(email.message_from_bytes(envelope.content or b"", policy=email.policy.default))  # type: ignore[arg-type]
        self.envelopes.append(envelope)
        self.encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        return "250 taken"


def authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _how: str, data: Any) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=good, handled=False)


def controller(
    mailbox: Mailbox, security: str, tls: ssl.SSLContext, *, sign_in: bool = False
) -> tuple[Controller, int]:
    """A server that has not been started, and its port. `security` as send-mail's SMTP_SECURITY."""
    port = free_port()
    options: dict[str, Any] = {"authenticator": authenticate, "auth_required": True} if sign_in else {}
    match security:
        case "tls":
            options |= {"ssl_context": tls, "auth_require_tls": False}
        case "starttls":
            options |= {"tls_context": tls, "require_starttls": True}
    return Controller(mailbox, "127.0.0.1", port, **options), port
