"""A function engine with everything real: journal on disk, Runtime API on loopback, workers as processes."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.adapters.journal_sqlite import SqliteJournal
from edge_agent.adapters.run_process import ProcessRunner
from edge_agent.domain.function import FunctionSpec
from edge_agent.domain.invocation import Failed, Invocation, Outcome, Settlement, Succeeded
from edge_agent.engine.functions.dispatch import Engine
from edge_agent.engine.functions.governor import Governor
from edge_agent.engine.functions.loop import Loop
from edge_agent.ports import Entries, Runner
from edge_agent.runtime_api.server import RuntimeServer
from tests.waiting import eventually

AWSLAMBDARIC = ("python3", "-m", "awslambdaric")

MakeRunner = Callable[[Loop, RuntimeServer, Engine], Runner]


class Shelf:
    """Start it with functions, give it events, look at what became of them."""

    def __init__(
        self,
        folder: Path,
        *,
        runner: MakeRunner | None = None,
        worker_uid: int | None = None,
        governor: Governor | None = None,
    ) -> None:
        self.folder = folder
        self._governor = governor
        self._worker_uid = worker_uid
        self._runner = runner
        self.functions: dict[str, FunctionSpec] = {}
        self.settlements: list[Settlement] = []
        self._numbers = itertools.count(1)
        self._running = False
        (folder / "secrets").mkdir(parents=True, exist_ok=True)

    def write(self, name: str, text: str) -> Path:
        """A file in the folder that functions run in."""
        path = self.folder / "code" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def python(self, name: str, text: str, **changes: Any) -> FunctionSpec:
        """A function on unmodified awslambdaric: `text` defines `main(event, context)`."""
        self.write(f"{name}.py", text)
        return self.declare(name, command=AWSLAMBDARIC, args=(f"{name}.main",), **changes)

    def shell(self, name: str, text: str, **changes: Any) -> FunctionSpec:
        """A function in busybox shell: `handle "$event"` prints the answer."""
        self.write(name, SHELL.replace("@HANDLE@", text))
        return self.declare(name, command=(f"./{name}",), **changes)

    def declare(self, name: str, **changes: Any) -> FunctionSpec:
        spec = FunctionSpec(name, source=str(self.folder / "code"))
        self.functions[name] = msgspec.structs.replace(spec, **changes)
        return self.functions[name]

    def start(self) -> Shelf:
        """Open the journal and take up what is unfinished, as after a power cut."""
        self.journal = SqliteJournal(self.folder, lambda: int(time.time() * 1000), linger=0.05)
        self.loop = Loop()
        self.engine = Engine(self.loop, self.journal, governor=self._governor)
        self.server = RuntimeServer(self.engine, worker_uid=self._worker_uid)
        if self._runner is None:
            workers, secrets = self.folder / "workers", self.folder / "secrets"
            self.engine.runner = ProcessRunner(self.loop, self.server, self.engine, workers, secrets=secrets)
        else:
            self.engine.runner = self._runner(self.loop, self.server, self.engine)
        self.engine.listeners.append(lambda settled, _invocation: self.settlements.append(settled))
        self.loop.start()
        self.engine.start(self.functions)
        self._running = True
        return self

    def stop(self) -> None:
        if not self._running:
            return
        self._running = False
        self.engine.close()
        self.loop.ask(self.server.close_all)
        self.loop.close()
        self.journal.close()
        assert self.loop.faults == 0, "a step of the engine failed: see the log"

    def send(self, function: str, data: Any = None, **changes: Any) -> Invocation:
        """Record an event as the pipeline does, then have it dispatched; returns when it is on disk."""
        id = f"tank-1/b/{next(self._numbers)}/rule"
        event = {"specversion": "1.0", "id": id, "source": "/edge/test", "type": "test", "data": data}
        invocation = Invocation(id, function, msgspec.json.encode(event), int(time.time() * 1000))
        self.record(invocation := msgspec.structs.replace(invocation, **changes))
        return invocation

    def record(self, *invocations: Invocation) -> None:
        done = threading.Event()

        def recorded() -> None:
            self.engine.submit(list(invocations))
            done.set()

        self.journal.commit(Entries(invocations=list(invocations)), then=recorded)
        assert done.wait(30)

    def settled(self, invocation: Invocation) -> list[Settlement]:
        """Every settlement of it so far, in order."""
        return [settled for settled in self.settlements if (settled.id, settled.function) == _key(invocation)]

    def end(self, invocation: Invocation, timeout: float = 60.0) -> Settlement:
        """Wait until it is over; the last settlement."""

        def over() -> Settlement | None:
            return next((s for s in self.settled(invocation) if s.state in ("answered", "dead")), None)

        try:
            found = eventually(over, timeout)
        except AssertionError as error:
            raise AssertionError(f"{invocation.id} has not ended; {self.engine.status()}") from error
        assert found is not None
        return found

    def outcome(self, invocation: Invocation) -> Outcome:
        outcome = self.end(invocation).outcome
        assert outcome is not None
        return outcome

    def answer(self, function: str, data: Any = None, **changes: Any) -> Any:
        """What the function answers, decoded."""
        outcome = self.outcome(self.send(function, data, **changes))
        assert isinstance(outcome, Succeeded), outcome
        return msgspec.json.decode(outcome.response)

    def failure(self, function: str, data: Any = None, **changes: Any) -> Failed:
        """How the function fails in the end."""
        outcome = self.outcome(self.send(function, data, **changes))
        assert isinstance(outcome, Failed), outcome
        return outcome

    def on_disk(self, invocation: Invocation) -> dict[str, Any]:
        """The journal's own word, after everything is written."""
        assert self.journal.flush()
        (found,) = self.journal.invocation(invocation.id, invocation.function)
        return found

    def idle(self, function: str, count: int = 1) -> None:
        """Wait until so many workers wait for an event."""
        eventually(lambda: self.engine.status()[function]["workers"]["idle"] >= count)


def _key(invocation: Invocation) -> tuple[str, str]:
    return invocation.id, invocation.function


SHELL = r"""#!/bin/busybox sh
handle() {
@HANDLE@
}
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
answer=$(/bin/busybox wget -qS -O - "$api/next" 2>&1)
id=${answer#*Request-Id: }; id=${id%%[!0-9a-f-]*}
response=$(handle "{${answer#*\{}")
exec /bin/busybox wget -q -O /dev/null --post-data "$response" "$api/$id/response"
"""
