"""Tell people on the LAN: a phone, a desktop, a speaker. An AWS Lambda handler: `lan_notify.handler`, over `apprise`.

Enters: a CloudEvent (functions/CONTRACT.md shows one). Leaves: a notification to each target, all at once; and
`{"delivered": [names], "failed": {name: why}}`.
Guarantee: a target that fails stops no other, and is tried a second time. Raises only when nobody was told, so that a repeated
attempt tells nobody twice who could be reached. Addresses, which hold tokens, appear in no log, answer or error.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import apprise

MOST_TARGETS = 20
LONGEST_SHOWN = 6
"""Characters from which a part of an address is taken for a secret."""
LOOK = {
    "info": apprise.NotifyType.INFO,
    "warning": apprise.NotifyType.WARNING,
    "critical": apprise.NotifyType.FAILURE,
}
"""A severity as apprise knows it."""


class Misconfigured(ValueError):
    """The secret is missing or wrong; the message says what to write."""


@dataclass(frozen=True)
class Target:
    """`url` is apprise's (https://github.com/caronc/apprise/wiki)."""

    name: str
    url: str

    def service(self, *, urgent: bool = False) -> apprise.NotifyBase | None:
        """None for what apprise does not know. `urgent` counts where the address has no priority of its own."""
        own = "priority" in parse_qs(urlsplit(self.url).query)
        mark = "&" if "?" in self.url else "?"
        found = apprise.Apprise.instantiate(f"{self.url}{mark}priority=high" if urgent and not own else self.url)
        return found if isinstance(found, apprise.NotifyBase) else None


def read(file: Path) -> list[Target]:
    """A target in each line: a name, then its address. Raises `Misconfigured` with every fault by line."""
    example = "phone ntfy://10.0.0.2:8080/shelf"
    if not file.is_file():
        raise Misconfigured(f"there is no {file}: add secrets: [lan-notify] and write there, a line each, {example}")
    targets, faults = [], []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, url = line.strip().partition(" ")
        target = Target(name, url.strip())
        if not re.fullmatch(r"[A-Za-z0-9-]+", name):
            faults.append(f"line {number}: begins with no name: write for example {example}")
        elif parse_qs(urlsplit(target.url).query).get("verify", ["yes"])[0].lower()[:1] in ("n", "f", "0"):
            faults.append(f"line {number}: {name} turns the check of certificates off: set REQUESTS_CA_BUNDLE instead")
        elif not target.service():
            faults.append(f"line {number}: {name} has no address apprise knows: write for example {example}")
        targets.append(target)
    if not targets:
        faults.append(f"{file} names nobody: write for example {example}")
    if len(targets) > MOST_TARGETS or len({target.name for target in targets}) < len(targets):
        faults.append(f"at most {MOST_TARGETS} targets, each with a name of its own")
    if faults:
        raise Misconfigured("; ".join(faults))
    return targets


class Overheard(logging.Handler):
    """What apprise says while one thread sends: the reason of a failure, which its answer does not have."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: dict[int | None, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        self.said[record.thread] = record.getMessage()


overheard = Overheard()
logging.getLogger("apprise").addHandler(overheard)
logging.getLogger("apprise").propagate = False  # it prints addresses


def send(target: Target, title: str, body: str, look: apprise.NotifyType) -> str:
    """Why it failed; "" when it did not."""
    me = threading.get_ident()
    overheard.said.pop(me, None)
    service = target.service(urgent=look is apprise.NotifyType.FAILURE)
    if service is not None and service.notify(body=body, title=title, notify_type=look):
        return ""
    return hidden(overheard.said.pop(me, "it was not taken"), target.url)[:200]


def hidden(text: str, url: str) -> str:
    """`text` without any longer part of the address: it may be a token."""
    for part in sorted(re.split(r"[/:@?&=]+", url), key=len, reverse=True):
        text = text.replace(part, "***") if len(part) >= LONGEST_SHOWN else text
    return text


def words(event: Mapping[str, Any]) -> tuple[str, str, apprise.NotifyType]:
    """Title, body and look of an event."""
    data = event.get("data")
    data = data if isinstance(data, Mapping) else {"message": data}
    summary = str(data.get("message") or f"{event.get('type', 'event')} {event.get('subject', '')}").strip()
    severity = str(data.get("severity") or "info")
    if data.get("state") == "resolved":
        return f"over: {data.get('rule') or data.get('device') or severity}", summary, apprise.NotifyType.SUCCESS
    return (
        f"{severity}: {data.get('device') or event.get('subject') or 'edge'}",
        summary,
        LOOK.get(severity, LOOK["info"]),
    )


file = Path(os.environ.get("EDGE_SECRETS", "/run/secrets")) / "lan-notify" / "targets"
read(file)


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Tell everybody. The targets are read each time, so a changed one needs no restart."""
    targets = read(file)
    failed = tell(targets, words(event))
    if failed and context.get_remaining_time_in_millis() > 15_000:
        time.sleep(1.0)
        failed = tell([target for target in targets if target.name in failed], words(event))
    answer = {"delivered": [target.name for target in targets if target.name not in failed], "failed": failed}
    print(json.dumps({"event": event["id"], **answer}))
    if not answer["delivered"]:
        raise ConnectionError("nobody could be told: " + "; ".join(f"{name}: {why}" for name, why in failed.items()))
    return answer


def tell(targets: Sequence[Target], what: tuple[str, str, apprise.NotifyType]) -> dict[str, str]:
    """{name: why} of those that failed."""
    with ThreadPoolExecutor(len(targets)) as pool:
        reasons = list(pool.map(lambda target: send(target, *what), targets))
    return {target.name: reason for target, reason in zip(targets, reasons, strict=True) if reason}
