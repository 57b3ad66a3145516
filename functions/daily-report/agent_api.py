"""What the agent knows of a day, over its HTTP API. Standard library only.

Enters: address, token, a span of time. Leaves: `Day`. Errors: `ConnectionError`; `Permanent` where the agent refuses.
"""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from letterbox import Permanent
from plot import Step

MOST_PLOTS = 40
STEP = 10 * 60 * 1000
"""ms: 144 steps a day."""


@dataclass(frozen=True)
class Course:
    """A reading over the day. No steps: nothing was heard."""

    device: str
    reading: str
    unit: str
    steps: Sequence[Step]
    last: float | None


@dataclass(frozen=True)
class Day:
    """Times in epoch ms. `omitted`: readings that were asked for beyond `MOST_PLOTS`."""

    site: str
    since: int
    until: int
    courses: Sequence[Course]
    omitted: int
    alerts: Sequence[Mapping[str, Any]]
    silent: Sequence[str]


@dataclass(frozen=True)
class Api:
    """EDGE_URL, EDGE_CA_FILE, and the token in the secret `edge-token`, file `token`."""

    url: str
    token_file: Path
    ca_file: str

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> tuple[Api, list[str]]:
        """The settings, and what is wrong with them."""
        url, ca_file = environment.get("EDGE_URL", "").rstrip("/"), environment.get("EDGE_CA_FILE", "")
        token_file = Path(environment.get("EDGE_SECRETS", "/run/secrets")) / "edge-token" / "token"
        faults = []
        if urlsplit(url).scheme not in ("http", "https"):
            faults.append("EDGE_URL is not the agent's address: write for example http://127.0.0.1:8080")
        if not token_file.is_file():
            faults.append(
                f"there is no {token_file}: add secrets: [edge-token], and put there what "
                "edgectl tokens create daily-report --scope read prints"
            )
        if ca_file and not Path(ca_file).is_file():
            faults.append(f"EDGE_CA_FILE is {ca_file}, which is no file: write the path of the agent's CA certificate")
        return cls(url, token_file, ca_file), faults

    def get(self, path: str, **query: object) -> Any:
        """What `/api/v1` answers."""
        url = f"{self.url}/api/v1{path}?{urlencode(query)}"
        request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - read() saw to it
        request.add_unredirected_header("Authorization", f"Bearer {self.token_file.read_text().strip()}")
        context = ssl.create_default_context(cafile=self.ca_file or None) if url.startswith("https:") else None
        try:
            with urllib.request.urlopen(request, timeout=20, context=context) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            words = f"the agent at {self.url} answers {error.code}: {error.read(300).decode('utf-8', 'replace')}"
            if error.code in (401, 403):
                raise Permanent(words) from error
            raise ConnectionError(words) from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise ConnectionError(f"the agent at {self.url} cannot be asked: {error}") from error

    def all(self, path: str, **query: object) -> Iterator[dict[str, Any]]:
        """Every item of a list, page after page."""
        cursor = ""
        while True:
            page = self.get(path, cursor=cursor, **query)
            yield from page["items"]
            if not (cursor := page["cursor"]):
                return

    def day(self, globs: Sequence[str], since: int, until: int) -> Day:
        """What was measured between the two, of readings whose `device/reading` a glob names."""
        devices = list(self.all("/devices"))
        wanted = [
            (device["name"], reading, now)
            for device in devices
            for reading, now in device["readings"].items()
            if any(fnmatchcase(f"{device['name']}/{reading}", glob) for glob in globs)
            and isinstance(now["value"], int | float)
            and not isinstance(now["value"], bool)
        ]
        courses = [self._course(*one, since, until) for one in wanted[:MOST_PLOTS]]
        alerts = []
        for alert in self.all("/alerts"):
            if alert["since"] < until and (alert["until"] or until) >= since:
                alerts.append(alert)
            elif alert["since"] < since - 7 * 86_400_000:  # newest first: what is older than a week can be left
                break
        silent = sorted(device["name"] for device in devices if (device["last_seen"] or 0) < since)
        return Day(self.get("/status")["site"], since, until, courses, len(wanted) - len(courses), alerts, silent)

    def _course(self, device: str, reading: str, now: Mapping[str, Any], since: int, until: int) -> Course:
        answer = self.get(
            f"/devices/{quote(device)}/readings", reading=reading, since=since, until=until, step=f"{STEP}ms"
        )
        steps = [Step(item["t"], item["min"], item["mean"], item["max"]) for item in answer["items"]]
        last = now["value"] if since <= (now["t"] or 0) < until else steps[-1].mean if steps else None
        return Course(device, reading, now["unit"], steps, last)
