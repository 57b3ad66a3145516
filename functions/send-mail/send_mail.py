"""Send one event as one mail over SMTP. An AWS Lambda handler: `send_mail.handler`; standard library only.

Enters: a CloudEvent (functions/CONTRACT.md shows one). Leaves: a mail, and `{"sent": Message-ID, "to": [...]}`.
Guarantee: the Message-ID follows from the event's id, so an attempt that is repeated sends the same mail again and no
other; most mail servers and readers show such a mail once. A failure raises: the agent tries again, then keeps the event
as a dead letter.
"""

from __future__ import annotations

import hashlib
import os
import smtplib
import ssl
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from email.header import Header
from email.mime.text import MIMEText
from email.utils import formatdate
from pathlib import Path
from typing import Any

PORTS = {"starttls": 587, "tls": 465, "none": 25}
LONGEST_SUBJECT = 150


@dataclass(frozen=True)
class Settings:
    """From the environment; what is wrong is said in full, by name."""

    host: str
    port: int
    security: str
    sender: str
    recipients: list[str]
    user: str = ""
    password: str = ""
    ca_file: str = ""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        security = environment.get("SMTP_SECURITY", "starttls").lower()
        missing = [name for name in ("SMTP_HOST", "SMTP_FROM", "SMTP_TO") if not environment.get(name)]
        if missing:
            raise ValueError(f"not set: {', '.join(missing)}")
        if security not in PORTS:
            raise ValueError(f"SMTP_SECURITY is {security}: starttls, tls or none")
        user = environment.get("SMTP_USER", "")
        if user and security == "none":
            raise ValueError("SMTP_USER is set and SMTP_SECURITY is none: a password is never sent unencrypted")
        return cls(
            host=environment["SMTP_HOST"],
            port=int(environment.get("SMTP_PORT") or PORTS[security]),
            security=security,
            sender=environment["SMTP_FROM"],
            recipients=[address.strip() for address in environment["SMTP_TO"].split(",") if address.strip()],
            user=user,
            password=_password(environment) if user else "",
            ca_file=environment.get("SMTP_CA_FILE", ""),
        )


def _password(environment: Mapping[str, str]) -> str:
    """Read at each event, so that a changed secret needs no restart."""
    default = Path(environment.get("EDGE_SECRETS", "/run/secrets")) / "smtp" / "password"
    path = Path(environment.get("SMTP_PASSWORD_FILE") or default)
    if not path.is_file():
        raise ValueError(f"SMTP_USER is set and there is no password in {path}")
    return path.read_text().rstrip("\r\n")


def compose(event: Mapping[str, Any], settings: Settings) -> MIMEText:
    """The mail for an event: of a rule, or any other CloudEvent."""
    data = event.get("data")
    data = data if isinstance(data, Mapping) else {"data": data}
    summary = str(data.get("message") or f"{event.get('type', 'event')} {event.get('subject', '')}")
    severity = f"[{data['severity']}] " if data.get("severity") else ""
    over = "over: " if data.get("state") == "resolved" else ""
    details = "\n".join([summary, "", *_details(event, data)]) + "\n"
    message = MIMEText(details, "plain", "utf-8")
    # not EmailMessage: many Python releases fold a subject that is not ASCII wrongly (gh-92081, gh-144156)
    message["Subject"] = Header(_one_line(severity + over + summary)[:LONGEST_SUBJECT], header_name="Subject")
    message["From"] = settings.sender
    message["To"] = ", ".join(settings.recipients)
    message["Date"] = formatdate(localtime=True)
    message["Message-ID"] = message_id(event, settings.sender)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies, please
    return message


def message_id(event: Mapping[str, Any], sender: str) -> str:
    """The same for every attempt at one event: source and id name an event for ever (CloudEvents 1.0, 3.1.1)."""
    name = f"{event.get('source', '')} {event['id']}"
    domain = sender.rpartition("@")[2].strip(" >") or "edge.internal"
    return f"<{hashlib.sha256(name.encode()).hexdigest()[:32]}@{domain}>"


def _details(event: Mapping[str, Any], data: Mapping[str, Any]) -> list[str]:
    lines = [("when", event.get("time")), ("device", data.get("device")), ("rule", data.get("rule"))]
    if data.get("value") is not None:
        value = f"{data['value']} {data.get('unit') or ''}".strip()
        lines.append((str(data.get("reading") or "value"), value))
    lines.append(("before", data.get("previous")))
    readings = data.get("readings")
    if isinstance(readings, Mapping):
        lines += [(str(name), value) for name, value in readings.items() if name != data.get("reading")]
    lines.append(("event", event["id"]))
    return [f"{name + ':':<16}{_one_line(str(value))}" for name, value in lines if value is not None]


def _one_line(text: str) -> str:
    """A device's name must not add a header (RFC 5322, 2.2)."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def connect(settings: Settings, timeout: float) -> smtplib.SMTP:
    """A connection that is encrypted and signed in as configured; certificates are always checked."""
    context = ssl.create_default_context(cafile=settings.ca_file or None)
    options: dict[str, Any] = {
        "local_hostname": "edge.internal",
        "timeout": timeout,
    }  # its own look-up hangs without DNS
    if settings.security == "tls":
        client: smtplib.SMTP = smtplib.SMTP_SSL(settings.host, settings.port, context=context, **options)
    else:
        client = smtplib.SMTP(settings.host, settings.port, **options)
    try:
        if settings.security == "starttls":
            client.starttls(context=context)
        if settings.user:
            client.login(settings.user, settings.password)
    except BaseException:
        client.close()
        raise
    return client


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Send it. Raises when nobody was sent it; who alone was refused is in the answer."""
    settings = Settings.read(os.environ)
    message = compose(event, settings)
    timeout = max(1.0, min(20.0, context.get_remaining_time_in_millis() / 1000 - 1))
    with closing(connect(settings, timeout)) as client:
        refused = client.send_message(message)
        client.quit()
    print(f"sent {message['Message-ID']} to {len(settings.recipients) - len(refused)} recipients")
    sent = [address for address in settings.recipients if address not in refused]
    return {"sent": message["Message-ID"], "to": sent, "refused": sorted(refused)}
