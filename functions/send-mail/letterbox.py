"""One mail, posted over SMTP: encrypted and signed in as configured, certificates always checked. Standard library only.

Enters: a message with its From, To and Message-ID. Leaves: who was refused, and why.
Guarantee: a server that says 4xx, or nothing, raises `ConnectionError` or another `OSError`: try again. One that says 5xx (RFC
5321, 4.2.1) raises `Permanent`. Once it was taken nothing raises any more.
Functions are deployed alone, so each that sends mail has a copy of this file; a test holds the copies together.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

PORTS = {"starttls": 587, "tls": 465, "none": 25}


class Permanent(Exception):
    """Another attempt cannot help (functions/CONTRACT.md): the server has refused."""


@dataclass(frozen=True)
class Letterbox:
    """Where mail is handed in, from SMTP_* variables."""

    host: str
    port: int
    security: str
    sender: str
    recipients: list[str]
    user: str
    password_file: Path
    ca_file: str

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> tuple[Letterbox, list[str]]:
        """The settings, and what is wrong with them."""
        hints = {
            "SMTP_HOST": "the mail server, as in 10.0.0.2",
            "SMTP_FROM": "the sender, as in shelf@example.org",
            "SMTP_TO": "who gets the mail, separated by commas",
        }
        faults = [f"{name} is not set: write {hint}" for name, hint in hints.items() if not environment.get(name)]
        host, sender, recipients = (environment.get(name, "") for name in hints)
        security = environment.get("SMTP_SECURITY", "starttls").lower()
        port = environment.get("SMTP_PORT") or str(PORTS.get(security, 587))
        user = environment.get("SMTP_USER", "")
        secrets = Path(environment.get("EDGE_SECRETS", "/run/secrets"))
        password_file = Path(environment.get("SMTP_PASSWORD_FILE") or secrets / "smtp" / "password")
        ca_file = environment.get("SMTP_CA_FILE", "")
        if security not in PORTS:
            faults.append(f"SMTP_SECURITY is {security}: write starttls, tls or none")
        if not (port.isdecimal() and 0 < int(port) < 65536):
            faults.append(f"SMTP_PORT is {port}: write a number from 1 to 65535, as in 587")
            port = "587"
        if user and security == "none":
            faults.append(
                "SMTP_USER is set and SMTP_SECURITY is none: a password is never sent unencrypted; write starttls"
            )
        if user and not password_file.is_file():
            faults.append(
                f"SMTP_USER is set and there is no {password_file}: add secrets: [smtp] and put the password there"
            )
        if ca_file and not Path(ca_file).is_file():
            faults.append(f"SMTP_CA_FILE is {ca_file}, which is no file: write the path of your CA's certificate")
        to = [address.strip() for address in recipients.split(",") if address.strip()]
        return cls(host, int(port), security, sender, to, user, password_file, ca_file), faults

    @property
    def password(self) -> str:
        """Read for each mail, so that a changed secret needs no restart."""
        return self.password_file.read_text().rstrip("\r\n")

    def post(self, message: Message, timeout: float) -> dict[str, str]:
        """Hand it in. Raises when nobody is sent it; {address: the server's words} of those who alone are not."""
        try:
            with closing(self._connect(timeout)) as client:
                refused = client.send_message(message)
                with suppress(
                    smtplib.SMTPException, OSError
                ):  # it has been taken: a poor goodbye must not send it twice
                    client.quit()
        except smtplib.SMTPRecipientsRefused as error:
            words = "; ".join(f"{address}: {_said(*answer)}" for address, answer in error.recipients.items())
            if all(code >= 500 for code, _ in error.recipients.values()):
                raise Permanent(f"{self.host} refuses every recipient: {words}") from error
            raise ConnectionError(f"{self.host} takes no mail for now: {words}") from error
        except smtplib.SMTPResponseException as error:
            words = f"{self.host} says: {_said(error.smtp_code, error.smtp_error)}"
            if error.smtp_code >= 500:
                raise Permanent(words) from error
            raise ConnectionError(words) from error
        except smtplib.SMTPNotSupportedError as error:
            raise Permanent(f"{self.host}: {error}") from error
        return {address: _said(*answer) for address, answer in refused.items()}

    def _connect(self, timeout: float) -> smtplib.SMTP:
        context = ssl.create_default_context(cafile=self.ca_file or None)
        options: dict[str, Any] = {
            "local_hostname": "edge.internal",  # its own look-up hangs without DNS
            "timeout": timeout,
        }
        if self.security == "tls":
            client: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, context=context, **options)
        else:
            client = smtplib.SMTP(self.host, self.port, **options)
        try:
            if self.security == "starttls":
                client.starttls(context=context)
            if self.user:
                client.login(self.user, self.password)
        except BaseException:
            client.close()
            raise
        return client


def _said(code: int, words: bytes | str) -> str:
    return f"{code} {words.decode('utf-8', 'replace') if isinstance(words, bytes) else words}"
