"""The agent's HTTP API as the command line needs it: over the local socket, or by URL and token.

In: paths below `/api/v1` and plain values. Out: what the answer's JSON says. Errors: `NotReachable`, and the classes of
`edge_agent.errors` for problem+json answers (RFC 9457). The standard library's client, because it starts in a fifth of the
time the others take, and a command is over in an instant.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from edge_agent.cli.unreachable import NotReachable
from edge_agent.errors import Conflict, EdgeError, Fault, Invalid, NotFound, Refused, Unavailable

API = "/api/v1"
PAGE_FILE = "page.url"
"""In the data folder while an agent runs: where its page is."""
TIMEOUT = 60.0
PAGE = 500
SILENCE = 30.0
"""Seconds a stream may say nothing: the agent gives a sign of life every ten."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body) if self.body else {}


class Agent:
    """One agent. `target` is a socket's path or an http(s) URL; `authority` a PEM file of the CA that signed its page."""

    def __init__(self, target: Path | str, token: str = "", authority: Path | None = None) -> None:
        self.target = target
        self._token = token
        self._authority = authority

    def get(self, *path: str, **query: Any) -> Any:
        return self.request("GET", path, query=query).json()

    def post(self, *path: str, body: Any = None, **query: Any) -> Any:
        return self.request("POST", path, body=body, query=query).json()

    def items(self, *path: str, limit: int = 0, **query: Any) -> Iterator[dict[str, Any]]:
        """Every item of a list, page after page; at most `limit` when it is not 0."""
        cursor, seen = "", 0
        while True:
            page = self.get(*path, limit=min(limit or PAGE, PAGE), cursor=cursor, **query)
            for item in page if isinstance(page, list) else page.get("items", []):
                yield item
                seen += 1
                if seen == limit:
                    return
            cursor = "" if isinstance(page, list) else page.get("cursor") or ""
            if not cursor:
                return

    def request(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> Answer:
        """`path` steps are quoted; `body` is bytes or becomes JSON. Raises for every answer that is not 2xx."""
        connection, response = self._begin(method, path, body=body, query=query, headers=headers, timeout=timeout)
        try:
            answer = Answer(response.status, dict(response.headers.items()), response.read())
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()
        if not 200 <= answer.status < 300:
            raise _problem(answer)
        return answer

    def _begin(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """The answer's head has come; close the connection when its body has."""
        given = {key: value for key, value in (query or {}).items() if value not in ("", None)}
        address = API + "".join(f"/{quote(step, safe='')}" for step in path) + (f"?{urlencode(given)}" if given else "")
        sent = {"Accept": "application/json", "Host": self._host(), **(headers or {})}
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = self._connect(timeout)
        try:
            connection.request(method, address, body, sent)
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._unreachable(error) from error

    def stream(self, *path: str, **query: Any) -> Iterator[tuple[str, Any]]:
        """Server-Sent Events as (event, data), beats left out, for as long as the agent sends them. Errors: as `request`."""
        connection, response = self._begin("GET", path, query=query, timeout=SILENCE)
        kind, data = "", ""
        try:
            if response.status != 200:
                raise _problem(Answer(response.status, {}, response.read()))
            for raw in response:
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    data += value
                elif not line and data:
                    if kind != "beat":
                        yield kind, json.loads(data)
                    kind, data = "", ""
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()

    def _host(self) -> str:
        return "localhost" if isinstance(self.target, Path) else urlsplit(self.target).netloc

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        if isinstance(self.target, Path):
            return _OverSocket(self.target, timeout)
        url = urlsplit(self.target)
        if url.scheme == "https":
            trust = ssl.create_default_context(cafile=str(self._authority) if self._authority else None)
            return http.client.HTTPSConnection(url.hostname or "", url.port, timeout=timeout, context=trust)
        return http.client.HTTPConnection(url.hostname or "", url.port, timeout=timeout)

    def _unreachable(self, error: Exception) -> EdgeError:
        if isinstance(error, ssl.SSLCertVerificationError):
            return NotReachable(f"{self.target} is not trusted ({error.verify_message}); give its CA with --ca FILE")
        if isinstance(error, PermissionError):
            return NotReachable(f"{self.target} may be opened by its owner only; use sudo, or --url with a token")
        if isinstance(error, TimeoutError):
            return NotReachable(f"the agent at {self.target} did not answer in time; edgectl doctor may say why")
        where = "on this machine" if isinstance(self.target, Path) else f"at {self.target}"
        return NotReachable(f"no agent answers {where}; start one with edgectl run, or name it with --url or --data")


class _OverSocket(http.client.HTTPConnection):
    """HTTP over a unix socket, however long its path is."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        # A socket's address holds 107 bytes (unix(7)); through its open folder any path is short (proc(5)).
        folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)


def _problem(answer: Answer) -> EdgeError:
    """The error a problem+json answer means."""
    try:
        told = answer.json()
    except ValueError:
        told = {}
    told = told if isinstance(told, dict) else {}
    text = str(told.get("detail") or told.get("title") or f"the agent answered {answer.status}")
    match answer.status:
        case 401:
            return Refused(f"{text}; give a token with --token-file or EDGECTL_TOKEN (edgectl tokens create makes one)")
        case 400 | 422:
            faults = [_fault(item) for item in told.get("faults") or told.get("errors") or []]
            return Invalid(faults or [Fault("request", 0, 0, "input", text)])
        case 404:
            return NotFound(text)
        case 409 | 412 | 428:
            return Conflict(text)
        case 403:
            return Refused(text)
        case 503 | 429:
            return Unavailable(text)
        case _:
            return EdgeError(text)


def _fault(told: Mapping[str, Any]) -> Fault:
    return Fault(
        str(told.get("file", "request")),
        int(told.get("line") or 0),
        int(told.get("column") or 0),
        str(told.get("field", "")),
        str(told.get("message", "")),
        str(told.get("hint", "")),
    )
