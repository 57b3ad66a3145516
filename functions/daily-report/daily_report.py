"""The last day by mail: plots of what was measured, alerts, who was silent. An AWS Lambda handler: `daily_report.handler`.

Enters: any event; its `time` is the report's end, so a repeated attempt reports the same 24 hours. Leaves: a mail in HTML
with pictures inside and the same as plain text; `{"sent": Message-ID, "plots": n}`.
Guarantee: the Message-ID follows from the event's id; nothing in the mail is fetched from anywhere when it is read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from email.message import EmailMessage
from email.utils import formatdate
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

from agent_api import STEP, Api, Course, Day
from letterbox import Letterbox
from plot import HEIGHT, WIDTH, draw, limits

LENGTH = 24 * 3600 * 1000


class Misconfigured(ValueError):
    """The manifest's `env` or `secrets` are wrong; the message says what to write."""


@dataclass(frozen=True)
class Settings:
    """From the environment."""

    api: Api
    letterbox: Letterbox
    globs: list[str]
    zone: tzinfo | None

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """Raises `Misconfigured` with every fault by name."""
        api, faults = Api.read(environment)
        letterbox, more = Letterbox.read(environment)
        faults += more
        globs = [glob.strip() for glob in environment.get("REPORT_READINGS", "*/*").split(",") if glob.strip()]
        if not globs or not all("/" in glob for glob in globs):
            faults.append("REPORT_READINGS has no device/reading: write for example tank-*/level, */temperature")
        zone = None
        if named := environment.get("REPORT_TIME_ZONE", ""):
            try:
                zone = ZoneInfo(named)
            except (OSError, ValueError, KeyError):
                faults.append(f"REPORT_TIME_ZONE is {named}: write a name as in Europe/Dublin")
        if faults:
            raise Misconfigured("; ".join(faults))
        return cls(api, letterbox, globs, zone)


class Words:
    """Times and numbers as the reader of the mail has them."""

    def __init__(self, zone: tzinfo | None) -> None:
        self._zone = zone

    def moment(self, t: int, form: str = "%a %H:%M") -> str:
        return datetime.fromtimestamp(t / 1000, UTC).astimezone(self._zone).strftime(form)

    def numbers(self, course: Course) -> list[str]:
        """Last, lowest, mean and highest; dashes when nothing was heard."""
        if not course.steps or course.last is None:
            return ["-"] * 4
        mean = sum(step.mean for step in course.steps) / len(course.steps)
        low, high = min(step.low for step in course.steps), max(step.high for step in course.steps)
        return [f"{value:.4g} {course.unit}".strip() for value in (course.last, low, mean, high)]

    def alert(self, alert: Mapping[str, Any]) -> str:
        until = f"until {self.moment(alert['until'])}" if alert["until"] else "still on"
        return f"{self.moment(alert['since'])}, {until}: [{alert['severity']}] {alert['message']}"


def plain(day: Day, words: Words) -> str:
    """The report without pictures."""
    lines = [f"{day.site}: {words.moment(day.since)} to {words.moment(day.until)}", ""]
    lines += ["Alerts:", *(f"  {words.alert(alert)}" for alert in day.alerts)] if day.alerts else ["No alerts."]
    lines += ["", f"{'':<32}{'last':>12}{'lowest':>12}{'mean':>12}{'highest':>12}"]
    for course in day.courses:
        lines.append(f"{course.device + ' ' + course.reading:<32}" + "".join(f"{n:>12}" for n in words.numbers(course)))
    lines += [f"and {day.omitted} more"] if day.omitted else []
    lines += ["", f"Silent all day: {', '.join(day.silent)}"] if day.silent else []
    return "\n".join(lines) + "\n"


def html(day: Day, words: Words, pictures: Mapping[int, str]) -> str:
    """The report in tables and inline styles, which mail readers understand. `pictures`: the Content-ID of each plot, by its
    place in `day.courses`."""
    parts = [f"<h2>{escape(day.site)}: {words.moment(day.since)} to {words.moment(day.until)}</h2>"]
    parts += [f"<p>{escape(words.alert(alert))}</p>" for alert in day.alerts] or ["<p>No alerts.</p>"]
    small = 'style="color:#666;font-size:12px"'
    for number, course in enumerate(day.courses):
        name = escape(f"{course.device} {course.reading}")
        last, low, mean, high = (escape(number) for number in words.numbers(course))
        parts.append(f"<h3>{name}: {last}</h3>")
        if number not in pictures:
            parts.append("<p>nothing was heard</p>")
            continue
        bottom, top = limits(course.steps)
        hours = "".join(
            f'<td width="25%" {small}>{words.moment(day.since + LENGTH * quarter // 4, "%H:%M")}</td>'
            for quarter in range(4)
        )
        alt = f"{name}: lowest {low}, mean {mean}, highest {high}"
        parts.append(
            f'<table cellpadding="0" cellspacing="0"><tr><td colspan="4">'
            f'<img src="cid:{pictures[number]}" width="{WIDTH}" height="{HEIGHT}" alt="{alt}" style="border:1px solid #ddd">'
            f'</td><td valign="top" {small}>&nbsp;{top:.4g}</td></tr><tr>{hours}<td {small}>&nbsp;{bottom:.4g}</td></tr>'
            f"</table><p {small}>lowest {low}, mean {mean}, highest {high}</p>"
        )
    parts += [f"<p>and {day.omitted} more</p>"] if day.omitted else []
    parts += [f"<p>Silent all day: {escape(', '.join(day.silent))}</p>"] if day.silent else []
    return f'<html><body style="font-family:sans-serif;max-width:640px">{"".join(parts)}</body></html>'


def compose(event: Mapping[str, Any], day: Day, settings: Settings) -> EmailMessage:
    """The whole mail."""
    words, sender = Words(settings.zone), settings.letterbox.sender
    name = hashlib.sha256(f"{event.get('source', '')} {event['id']}".encode()).hexdigest()[:32]
    domain = sender.rpartition("@")[2].strip(" >") or "edge.internal"
    pictures = {number: f"{number}.{name}@{domain}" for number, course in enumerate(day.courses) if course.steps}
    message = EmailMessage()
    message["Subject"] = f"{day.site}: the day until {words.moment(day.until, '%Y-%m-%d %H:%M')}"
    message["From"], message["To"] = sender, ", ".join(settings.letterbox.recipients)
    message["Date"], message["Message-ID"] = formatdate(localtime=True), f"<{name}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies, please
    message.set_content(plain(day, words))
    message.add_alternative(html(day, words, pictures), subtype="html")
    page = message.get_payload()[1]
    for number, cid in pictures.items():
        course = day.courses[number]
        picture, file = draw(course.steps, day.since, day.until, STEP), f"{course.device}-{course.reading}.png"
        page.add_related(picture, "image", "png", cid=f"<{cid}>", filename=file, disposition="inline")
    return message


settings = Settings.read(os.environ)


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Ask, draw, send."""
    until = round(datetime.fromisoformat(str(event["time"])).timestamp() * 1000) if event.get("time") else 0
    until = until or round(datetime.now(UTC).timestamp() * 1000)
    day = settings.api.day(settings.globs, until - LENGTH, until)
    message = compose(event, day, settings)
    refused = settings.letterbox.post(message, max(1.0, min(20.0, context.get_remaining_time_in_millis() / 1000 - 1)))
    answer = {"sent": message["Message-ID"], "plots": len(day.courses), "alerts": len(day.alerts), "refused": refused}
    print(json.dumps({"event": event["id"], **answer}))
    return answer
