"""Send one event as one mail over SMTP. An AWS Lambda handler: `send_mail.handler`; standard library only.

Enters: a CloudEvent (functions/CONTRACT.md shows one). Leaves: a mail, and `{"sent": Message-ID, "to": [...], "refused": {}}`.
Guarantee: the Message-ID follows from the event's id, so an attempt that is repeated sends the same mail again and no
other; most mail servers and readers show such a mail once. What is tried again and what is not: letterbox.py.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from email.header import Header
from email.mime.text import MIMEText
from email.utils import formatdate
from typing import Any

from letterbox import Letterbox

LONGEST_SUBJECT = 150


class Misconfigured(ValueError):
    """The manifest's `env` or `secrets` are wrong; the message says what to write."""


def compose(event: Mapping[str, Any], letterbox: Letterbox) -> MIMEText:
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
    message["From"] = letterbox.sender
    message["To"] = ", ".join(letterbox.recipients)
    message["Date"] = formatdate(localtime=True)
    message["Message-ID"] = message_id(event, letterbox.sender)
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


letterbox, faults = Letterbox.read(os.environ)
if faults:
    raise Misconfigured("; ".join(faults))


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Send it to everybody. Who alone was refused is in the answer."""
    message = compose(event, letterbox)
    refused = letterbox.post(message, max(1.0, min(20.0, context.get_remaining_time_in_millis() / 1000 - 1)))
    sent = [address for address in letterbox.recipients if address not in refused]
    answer = {"sent": message["Message-ID"], "to": sent, "refused": refused}
    print(json.dumps({"event": event["id"], **answer}))
    return answer
