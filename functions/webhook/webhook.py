"""POST one event to a URL, signed. An AWS Lambda handler: `webhook.handler`; standard library only.

Enters: a CloudEvent (functions/CONTRACT.md shows one). Leaves: the same, in structured mode (CloudEvents HTTP binding 1.0,
3.2), with the headers webhook-id, webhook-timestamp and webhook-signature of Standard Webhooks 1.0; and `{"status", "id"}`.
Guarantee: webhook-id follows from the event, so whoever gets an event twice can tell. 2xx ends it. 408, 425, 429, 5xx and a
connection that fails are tried again, after Retry-After where one is given; anything else raises `Permanent`.
Not chosen: following redirects. The signature is for one receiver; who has moved says so in the dead letter.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

AGAIN = {408, 425, 429}
"""Of the 4xx, those that ask to be tried again (RFC 9110, 15.5.9; RFC 8470; RFC 6585)."""
SHORTEST_KEY = 24
"""Bytes, as Standard Webhooks asks for ("Signature scheme")."""
QUOTED = 300
"""Bytes of a refusal's body that are repeated in the error."""


class Misconfigured(ValueError):
    """The manifest's `env` or `secrets` are wrong; the message says what to write."""


class Permanent(Exception):
    """Another attempt cannot help (functions/CONTRACT.md): the receiver has refused."""


@dataclass(frozen=True)
class Settings:
    """From the environment, and the folder of secrets."""

    secrets: Path
    url: str
    ca_file: str
    limit: float
    """Seconds for one try."""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """Raises `Misconfigured` with every fault by name."""
        secrets = Path(environment.get("EDGE_SECRETS", "/run/secrets")) / "webhook"
        limit, ca_file = environment.get("WEBHOOK_TIMEOUT", "15"), environment.get("WEBHOOK_CA_FILE", "")
        found = cls(secrets, environment.get("WEBHOOK_URL", ""), ca_file, float(limit) if limit.isdecimal() else 0)
        faults = []
        if not found.limit:
            faults.append(f"WEBHOOK_TIMEOUT is {limit}: write seconds, as in 15")
        if ca_file and not Path(ca_file).is_file():
            faults.append(f"WEBHOOK_CA_FILE is {ca_file}, which is no file: write the path of your CA's certificate")
        for check in (found.target, found.keys):
            try:
                check()
            except Misconfigured as error:
                faults.append(str(error))
        if faults:
            raise Misconfigured("; ".join(faults))
        return found

    def target(self) -> SplitResult:
        """Where to; a URL that is itself a secret is the file `url`."""
        file = self.secrets / "url"
        url = urlsplit(self.url or (file.read_text().strip() if file.is_file() else ""))
        if url.scheme not in ("http", "https") or not url.hostname:
            raise Misconfigured("WEBHOOK_URL is no http:// or https:// address: write one, as in https://10.0.0.2/hook")
        if url.username or url.password:
            raise Misconfigured("WEBHOOK_URL has a user in it: leave it out, the signature says who is calling")
        return url

    def keys(self) -> list[bytes]:
        """What signs, read for each event. Two lines in the file are two keys, both used: how a key is changed."""
        file = self.secrets / "secret"
        lines = file.read_text().split() if file.is_file() else []
        if not lines:
            raise Misconfigured(f"there is no key in {file}: add secrets: [webhook] and write whsec_ and base64 there")
        try:
            keys = [base64.b64decode(line.removeprefix("whsec_"), validate=True) for line in lines]
        except binascii.Error as error:
            raise Misconfigured(f"a key in {file} is not base64: write whsec_ and base64 after it") from error
        if min(map(len, keys)) < SHORTEST_KEY:
            raise Misconfigured(f"a key in {file} is short: use {SHORTEST_KEY} random bytes or more")
        return keys


@dataclass(frozen=True)
class Reply:
    """What the receiver said; `after` in seconds."""

    status: int
    body: str
    after: float | None


def webhook_id(event: Mapping[str, Any]) -> str:
    """The same for every attempt at one event: source and id name an event for ever (CloudEvents 1.0, 3.1.1)."""
    name = f"{event.get('source', '')} {event['id']}"
    return f"msg_{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def signed(name: str, body: bytes, keys: list[bytes], now: float) -> dict[str, str]:
    """The headers of Standard Webhooks 1.0: a signature by each key over id, time in seconds, and body."""
    content = f"{name}.{int(now)}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys]
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def post(target: SplitResult, body: bytes, headers: Mapping[str, str], settings: Settings) -> Reply:
    """One try; it ends `settings.limit` seconds after the connection stands, however slowly the other side speaks."""
    host, limit = str(target.hostname), settings.limit
    secure = target.scheme == "https"
    connection = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(host, target.port)
    try:
        with socket.create_connection((host, connection.port), limit) as line, _hang_up(line, limit) as clock:
            try:
                connection.sock = _encrypted(line, host, settings.ca_file) if secure else line
                path = (target.path or "/") + (f"?{target.query}" if target.query else "")
                connection.request("POST", path, body, dict(headers))
                answer = connection.getresponse()
                text = answer.read(QUOTED).decode("utf-8", "replace").strip()
                return Reply(answer.status, text, pause(answer.getheader("Retry-After"), time.time()))
            except (OSError, http.client.HTTPException) as error:
                if clock.is_set():
                    raise TimeoutError(f"it took longer than {limit:g} s") from error
                raise
            finally:
                connection.close()
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionError(f"{host} gives no answer: {type(error).__name__}: {error}") from error


def _encrypted(line: socket.socket, host: str, ca_file: str) -> ssl.SSLSocket:
    """The certificate is always checked: against the system's CAs, or `ca_file` alone."""
    return ssl.create_default_context(cafile=ca_file or None).wrap_socket(line, server_hostname=host)


@contextmanager
def _hang_up(line: socket.socket, limit: float) -> Iterator[threading.Event]:
    """End the connection after `limit` seconds, and set the event: a socket's own timeout starts anew with every byte."""
    copy, late = line.dup(), threading.Event()

    def now() -> None:
        late.set()
        with suppress(OSError):
            copy.shutdown(socket.SHUT_RDWR)

    clock = threading.Timer(limit, now)
    clock.start()
    try:
        yield late
    finally:
        clock.cancel()
        clock.join()
        copy.close()


def pause(said: str | None, now: float) -> float | None:
    """Seconds of a Retry-After (RFC 9110, 10.2.3): a number, or a date; None where there is none that can be read."""
    if said is None:
        return None
    if said.strip().isdecimal():
        return float(said)
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - now)
    except ValueError:
        return None


settings = Settings.read(os.environ)


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Send it, waiting as long as the receiver asks where that is within this function's time."""
    target, keys, name = settings.target(), settings.keys(), webhook_id(event)
    body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    fixed = {"Content-Type": "application/cloudevents+json; charset=utf-8", "User-Agent": "edge-webhook/1"}
    tries = 0
    while True:
        tries += 1
        reply = post(target, body, fixed | signed(name, body, keys, time.time()), settings)
        print(json.dumps({"event": event["id"], "id": name, "status": reply.status, "try": tries}))
        if 200 <= reply.status < 300:
            return {"status": reply.status, "id": name, "tries": tries}
        said = f"{target.hostname} answers {reply.status}: {reply.body}"
        if reply.status < 500 and reply.status not in AGAIN:
            raise Permanent(said)
        left = context.get_remaining_time_in_millis() / 1000 - settings.limit - 1
        if reply.after is None or reply.after > left:
            raise ConnectionError(said + (f" (and to come back in {reply.after:g} s)" if reply.after else ""))
        time.sleep(max(1.0, reply.after))
