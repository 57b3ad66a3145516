"""Fakes that ship with the product, each held to the conformance suite of the real thing.

`FakeRunner` runs functions as threads of this process which speak the Runtime API over real HTTP: for trying rules and
pages without starting processes.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from edge_agent.domain.function import FunctionSpec, MiB
from edge_agent.engine.functions.loop import Loop
from edge_agent.errors import Unavailable
from edge_agent.ports import WorkerEvents

TAIL = 4096

Handler = Callable[[Any, "FakeWorker"], Any]
"""(event, worker) -> answer, both as JSON has them. Raising is a function's error; `SystemExit` ends the worker, and so
does `MemoryError`: then it used more than it may."""


class Begin(Protocol):
    """What a worker does before it first asks; raising `SystemExit` is a start that fails."""

    def __call__(self, worker: FakeWorker, name: str, /) -> None: ...


def _at_once(_worker: FakeWorker, _name: str) -> None: ...


class _Doors(Protocol):
    def open(self, worker_id: str) -> str: ...
    def hang_up(self, worker_id: str) -> None: ...
    def close(self, worker_id: str) -> None: ...


class FakeWorker:
    """One worker: a thread that asks, calls the handler, answers. What it prints is kept like a process's output."""

    def __init__(self, worker_id: str, function: FunctionSpec, address: str, handler: Handler) -> None:
        self.id = worker_id
        self.spec = function
        self.function = function.name
        self.address = address
        self.killed = threading.Event()
        """A handler that waits, waits on this."""
        self.renewing = False
        """It has answered, and a fresh one takes its place."""
        self.told: Callable[[str], None] = lambda _text: None
        """Gets what it prints."""
        self._handler = handler
        self._once = function.isolation != "shared"
        self._printed = ""
        self._connection: http.client.HTTPConnection | None = None

    def print(self, text: str) -> None:
        self._printed = (self._printed + text + "\n")[-TAIL:]
        self.told(text + "\n")

    @property
    def printed(self) -> str:
        return self._printed.strip()

    def run(self, begin: Begin) -> tuple[str, str]:
        """Serve until killed; how it ended, as `exited` wants it: reason and kind."""
        try:
            return self._run(begin), "worker-lost"
        except MemoryError:
            most = f"{self.spec.memory / MiB:g} MiB"
            return f"used more than the {most} its manifest allows (memory)", "out-of-memory"

    def _run(self, begin: Begin) -> str:
        try:
            begin(self, self.function)
            while not self.killed.is_set():
                self._serve_one()
                if self._once:
                    break
        except SystemExit as end:
            return f"exited with code {end.code or 0}"
        except (OSError, http.client.HTTPException) as error:
            return "was killed" if self.killed.is_set() else f"exited with code 1 ({error})"
        return "was killed" if self.killed.is_set() else "exited with code 0"

    def kill(self) -> None:
        self.killed.set()
        if self._connection is not None and (sock := self._connection.sock) is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(2)

    def _serve_one(self) -> None:
        status, headers, body = self._call("GET", "invocation/next")
        if status != 200:
            raise SystemExit(1)
        base = f"invocation/{headers['Lambda-Runtime-Aws-Request-Id']}"
        try:
            answer = self._handler(json.loads(body), self)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a function raises is its answer
            self._call("POST", f"{base}/error", {"errorMessage": str(error), "errorType": type(error).__name__})
        else:
            self._call("POST", f"{base}/response", answer)

    def _call(self, method: str, path: str, document: Any = None) -> tuple[int, Mapping[str, str], bytes]:
        if self.killed.is_set():
            raise ConnectionError("killed")
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self.address)
        body = None if method == "GET" else json.dumps(document).encode()
        self._connection.request(method, f"/2018-06-01/runtime/{path}", body)
        response = self._connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()


class FakeRunner:
    """`ports.Runner`: `handlers` are the functions, by name. One that is missing cannot be started."""

    def __init__(
        self,
        loop: Loop,
        doors: _Doors,
        events: WorkerEvents,
        handlers: Mapping[str, Handler],
        *,
        begin: Begin = _at_once,
    ) -> None:
        self._loop = loop
        self._begin = begin
        self._doors = doors
        self._events = events
        self._handlers = handlers
        self._workers: dict[str, FakeWorker] = {}
        self._leaving = threading.Lock()
        self.started = 0

    def start(self, worker_id: str, function: FunctionSpec) -> None:
        handler = self._handlers.get(function.name)
        if handler is None:
            raise Unavailable(f"function {function.name} cannot be started: there is no handler of that name")
        address = self._doors.open(worker_id)
        self._begin_thread(FakeWorker(worker_id, function, address, handler))

    def _begin_thread(self, worker: FakeWorker) -> None:
        self._workers[worker.id] = worker
        self.started += 1
        worker.told = lambda text: self._events.printed(worker.id, text.encode())
        threading.Thread(target=self._run, args=(worker,), name=worker.id, daemon=True).start()

    def renew(self, worker_id: str) -> None:
        """The thread that answered is cut off, and counts as gone."""
        if worker := self._workers.get(worker_id):
            worker.renewing = True
            self._loop.post(self._renewed, worker)

    def _renewed(self, worker: FakeWorker) -> None:
        if self._workers.get(worker.id) is not worker:
            return
        worker.kill()
        self._doors.hang_up(worker.id)
        fresh = FakeWorker(worker.id, worker.spec, worker.address, self._handlers[worker.function])
        self._workers[worker.id] = fresh
        self._events.renewed(worker.id)
        self._loop.post(self._succeed, fresh)  # after the engine has heard it

    def _succeed(self, fresh: FakeWorker) -> None:
        if self._workers.get(fresh.id) is fresh:
            self._begin_thread(fresh)

    def kill(self, worker_id: str) -> None:
        """A thread cannot be killed: it is cut off, and told; from then on it counts as gone."""
        if worker := self._workers.get(worker_id):
            worker.kill()
            self._gone(worker, "was killed", "worker-lost")

    def log(self, worker_id: str) -> str:
        worker = self._workers.get(worker_id)
        return worker.printed if worker else ""

    def close(self) -> None:
        for worker_id in list(self._workers):
            self.kill(worker_id)

    def _run(self, worker: FakeWorker) -> None:
        reason, kind = worker.run(self._begin)
        if not worker.renewing:
            self._gone(worker, reason, kind)

    def _gone(self, worker: FakeWorker, reason: str, kind: str) -> None:
        with self._leaving:
            here = self._workers.get(worker.id) is worker
            if here:
                del self._workers[worker.id]
        if here:
            self._loop.post(self._doors.close, worker.id)
            self._events.exited(worker.id, reason, worker.printed, kind)
