"""Workers that are the test itself: a runner that only opens doors, and a client to walk in with."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator

from edge_agent.domain.function import FunctionSpec
from tests.functions.shelf import Shelf
from tests.waiting import eventually

ROOT = "/2018-06-01/runtime"


class OpenDoors:
    """A runner that only opens the door of each worker; a test walks in."""

    def __init__(self, server: object, engine: object) -> None:
        self._server = server
        self._engine = engine
        self.addresses: dict[str, list[str]] = {}
        self.names: dict[str, str] = {}
        self.killed: list[str] = []

    def start(self, worker_id: str, function: FunctionSpec) -> None:
        address = self._server.open(worker_id)  # type: ignore[attr-defined]
        self.addresses.setdefault(function.name, []).append(address)
        self.names[address] = worker_id

    def kill(self, worker_id: str) -> None:
        self.killed.append(worker_id)
        self._server.close(worker_id)  # type: ignore[attr-defined]
        self._engine.exited(worker_id, "was killed", "")  # type: ignore[attr-defined]

    def log(self, worker_id: str) -> str:
        return f"printed by {worker_id}"

    def close(self) -> None: ...


class Client:
    """One connection, as most clients have it."""

    def __init__(self, address: str) -> None:
        self.connection = http.client.HTTPConnection(address, timeout=20)

    def next(self) -> tuple[str, http.client.HTTPMessage, bytes]:
        status, headers, body = self.call("GET", "invocation/next")
        assert status == 200, body
        return headers["Lambda-Runtime-Aws-Request-Id"], headers, body

    def call(
        self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(
            method, f"{ROOT}/{path}", body, names, encode_chunked=not isinstance(body, bytes | None)
        )
        response = self.connection.getresponse()
        return response.status, response.headers, response.read()


def runner(shelf: Shelf) -> OpenDoors:
    found = shelf.engine.runner
    assert isinstance(found, OpenDoors)
    return found


def address(shelf: Shelf, function: str) -> str:
    return eventually(lambda: runner(shelf).addresses.get(function, [""])[-1])


def enter(shelf: Shelf, function: str) -> Client:
    return Client(address(shelf, function))


def kind(body: bytes) -> str:
    document = json.loads(body)
    assert document["errorMessage"]
    return str(document["errorType"])
