"""What every runner of workers keeps: the one suite for processes and for the shipped fake, here, and for pods, in
`tests/kubernetes`.

Each runner is given the same functions (`SCRIPTS`), made in its own way.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_agent.adapters.run_process import ProcessRunner
from edge_agent.domain.function import FunctionSpec
from edge_agent.domain.invocation import Succeeded
from edge_agent.engine.functions.loop import Loop
from edge_agent.engine.functions.stats import EngineStats
from edge_agent.engine.functions.work import Give, Handover
from edge_agent.errors import Unavailable
from edge_agent.ports import Runner
from edge_agent.runtime_api.server import RuntimeServer
from edge_agent.testing import FakeRunner, FakeWorker
from tests.waiting import eventually


@dataclass
class Engine:
    """Just enough of an engine to see what workers do; `runtime_api` needs these names."""

    loop: Loop
    waiting: dict[str, Give] = field(default_factory=dict)
    answers_of: dict[str, Any] = field(default_factory=dict)
    gone: dict[str, tuple[str, str]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    said: dict[str, bytes] = field(default_factory=lambda: defaultdict(bytes))
    renewing: set[str] = field(default_factory=set)
    renewals: list[str] = field(default_factory=list)
    runner: Runner | None = None
    stats: EngineStats = field(default_factory=EngineStats)
    closed: bool = False

    def asks(self, worker_id: str, give: Give) -> bool:
        if worker_id in self.renewing:
            return False
        self.waiting[worker_id] = give
        return True

    def left(self, worker_id: str, give: Give) -> None:
        self.waiting.pop(worker_id, None)

    def answers(self, worker_id: str, request_id: str, outcome: Any) -> str:
        """As the crew does for `isolation: process`."""
        self.answers_of[worker_id] = outcome
        if worker_id.startswith("process"):
            assert self.runner is not None
            self.renewing.add(worker_id)
            self.runner.renew(worker_id)
        return "accepted"

    def cannot_start(self, worker_id: str, reason: str) -> bool:
        return True

    def exited(self, worker_id: str, reason: str, log: str, kind: str = "worker-lost") -> None:
        assert worker_id not in self.gone, "exited was called twice"
        self.gone[worker_id] = (reason, log)
        self.kinds[worker_id] = kind

    def renewed(self, worker_id: str) -> None:
        assert worker_id in self.renewing
        assert worker_id not in self.waiting
        self.renewing.discard(worker_id)
        self.renewals.append(worker_id)

    def renews(self, worker_id: str) -> bool:
        """The entry point of a pod asks."""
        if worker_id in self.renewing:
            self.renewed(worker_id)
            return True
        return False

    def adopted(self, worker_id: str) -> None:
        raise AssertionError("there is nobody to take over")

    def restored(self) -> None: ...

    def printed(self, worker_id: str, text: bytes) -> None:
        self.said[worker_id] += text


ANSWER = (
    "echo begun; r=$(wget -qS -O - $next 2>&1); r=${r#*Request-Id: }; r=${r%%[!0-9a-z-]*}; "
    "wget -q -O - --post-data '\"answered\"' ${next%next}$r/response; "
)
SCRIPTS = {
    "asks": "wget -q -O - $next; sleep 1000",
    "prints": "echo 'what I have to say'; wget -q -O - $next; sleep 1000",
    "rambles": "i=0; while [ $i -lt 2000 ]; do echo 'line after line after line'; i=$((i+1)); done; echo 'the end'; "
    "wget -q -O - $next; sleep 1000",
    "dies": "echo 'out of ink'; exit 3",
    "answers": ANSWER + "sleep 1000",
    "leaves": ANSWER + "exit 0",
    "insists": ANSWER + "while :; do wget -q -O - $next; done",
    "grows": "echo 'a big one'; wget -q -O - $next; x=0123456789abcdef; while :; do x=$x$x; done",
}
"""What the functions of this suite do; the fakes do the same."""


def asks(_event: Any, worker: FakeWorker) -> None:
    worker.killed.wait()


def answers(_event: Any, _worker: FakeWorker) -> str:
    return "answered"


def grows(_event: Any, _worker: FakeWorker) -> None:
    raise MemoryError


HANDLERS = dict.fromkeys(("answers", "leaves", "insists"), answers) | {"grows": grows}


MakeRunner = Callable[[Loop, RuntimeServer, Engine], Runner]


@dataclass
class Stage:
    """A runner, and the engine's view of it."""

    loop: Loop
    engine: Engine
    runner: Runner
    spec: Callable[[str], FunctionSpec]

    def start(self, worker_id: str, name: str) -> None:
        """One whose id begins with `process` has that isolation."""
        isolation = "process" if worker_id.startswith("process") else "shared"
        spec = msgspec.structs.replace(self.spec(name), isolation=isolation)
        self.loop.ask(lambda: self.runner.start(worker_id, spec))

    def give(self, worker_id: str) -> None:
        """Hand over an event to one that waits."""
        event = Handover("r1", int(time.time() * 1000) + 1000, "Root=1-0-0", "asks", b"{}")
        assert self.loop.ask(lambda: self.engine.waiting.pop(worker_id)(event))

    def kill(self, worker_id: str) -> None:
        self.loop.ask(lambda: self.runner.kill(worker_id))

    def log(self, worker_id: str) -> str:
        return self.loop.ask(lambda: self.runner.log(worker_id))

    def waits(self, worker_id: str) -> None:
        eventually(lambda: worker_id in self.engine.waiting)

    def gone(self, worker_id: str) -> tuple[str, str]:
        return eventually(lambda: self.engine.gone.get(worker_id, ()))  # type: ignore[return-value]


def processes(folder: Path, *, groups: bool = True) -> tuple[MakeRunner, Callable[[str], FunctionSpec]]:
    code = folder / "code"
    code.mkdir()

    def spec(name: str) -> FunctionSpec:
        head = 'wget() { /bin/busybox wget "$@"; }; next=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next\n'
        if name not in SCRIPTS:
            return FunctionSpec(name, source=str(code), command=("./no-such-file",))
        return FunctionSpec(name, source=str(code), command=("/bin/sh", "-c", head + SCRIPTS[name]))

    def make(loop: Loop, server: RuntimeServer, engine: Engine) -> Runner:
        return ProcessRunner(loop, server, engine, folder / "workers", groups=groups)

    return make, spec


def processes_without_groups(folder: Path) -> tuple[MakeRunner, Callable[[str], FunctionSpec]]:
    """As on a laptop whose user may make no control groups."""
    return processes(folder, groups=False)


def fakes(_folder: Path) -> tuple[MakeRunner, Callable[[str], FunctionSpec]]:
    said = {"prints": ["what I have to say"], "rambles": [*["line after line after line"] * 2000, "the end"]}
    said |= {name: ["begun"] for name in ("answers", "leaves", "insists")} | {"grows": ["a big one"]}

    def begin(worker: FakeWorker, name: str) -> None:
        for line in said.get(name, []):
            worker.print(line)
        if name == "dies":
            worker.print("out of ink")
            raise SystemExit(3)

    def make(loop: Loop, server: RuntimeServer, engine: Engine) -> Runner:
        return FakeRunner(loop, server, engine, dict.fromkeys(SCRIPTS, asks) | HANDLERS, begin=begin)

    return make, FunctionSpec


@pytest.fixture(params=[processes, processes_without_groups, fakes])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    with staged(*request.param(tmp_path)) as stage:
        yield stage


@contextmanager
def staged(make: MakeRunner, spec: Callable[[str], FunctionSpec]) -> Iterator[Stage]:
    loop = Loop()
    engine = Engine(loop)
    server = RuntimeServer(engine)  # type: ignore[arg-type]
    loop.start()
    engine.runner = loop.ask(lambda: make(loop, server, engine))
    stage = Stage(loop, engine, engine.runner, spec)
    yield stage
    loop.ask(stage.runner.close)
    loop.ask(server.close_all)
    loop.close()
    assert loop.faults == 0


def test_a_worker_that_is_started_asks_for_an_event(stage: Stage) -> None:
    stage.start("w1", "asks")
    stage.waits("w1")
    assert stage.engine.gone == {}


def test_workers_are_told_apart(stage: Stage) -> None:
    for number in range(3):
        stage.start(f"w{number}", "asks")
    for number in range(3):
        stage.waits(f"w{number}")


def test_a_killed_worker_is_gone_and_said_to_be(stage: Stage) -> None:
    stage.start("w1", "asks")
    stage.waits("w1")
    stage.kill("w1")
    assert stage.gone("w1")[0] == "was killed"
    eventually(lambda: "w1" not in stage.engine.waiting)


def test_a_worker_in_the_middle_of_an_event_can_be_killed(stage: Stage) -> None:
    stage.start("w1", "asks")
    stage.waits("w1")
    stage.give("w1")
    stage.kill("w1")
    assert stage.gone("w1")[0] == "was killed"
    assert "w1" not in stage.engine.answers_of


def test_a_kill_reaches_one_worker_only(stage: Stage) -> None:
    stage.start("w1", "asks")
    stage.start("w2", "asks")
    stage.waits("w1")
    stage.waits("w2")
    stage.kill("w1")
    stage.gone("w1")
    assert "w2" in stage.engine.waiting
    assert "w2" not in stage.engine.gone


def test_a_worker_killed_before_it_asked_is_gone_too(stage: Stage) -> None:
    stage.start("w1", "asks")
    stage.kill("w1")
    assert stage.gone("w1")[0] == "was killed"


def test_killing_twice_or_somebody_unknown_is_no_error(stage: Stage) -> None:
    stage.start("w1", "asks")
    stage.waits("w1")
    stage.kill("w1")
    stage.kill("w1")
    stage.gone("w1")
    stage.kill("w1")
    stage.kill("nobody")
    assert list(stage.engine.gone) == ["w1"]


def test_what_a_worker_printed_can_be_read_while_it_lives(stage: Stage) -> None:
    stage.start("w1", "prints")
    stage.waits("w1")
    eventually(lambda: stage.log("w1") == "what I have to say")
    assert stage.log("nobody") == ""


def test_of_a_long_log_the_tail_is_kept(stage: Stage) -> None:
    stage.start("w1", "rambles")
    stage.waits("w1")
    eventually(lambda: stage.log("w1").endswith("the end"))
    assert len(stage.log("w1")) <= 4096


def test_a_worker_that_dies_says_how_and_what_it_printed(stage: Stage) -> None:
    stage.start("w1", "dies")
    reason, log = stage.gone("w1")
    assert reason == "exited with code 3"
    assert log == "out of ink"


def test_what_cannot_be_started_is_unavailable_and_leaves_nothing(stage: Stage) -> None:
    with pytest.raises(Unavailable, match="cannot be started"):
        stage.start("w1", "no-such-function")
    stage.kill("w1")
    assert stage.log("w1") == ""
    assert stage.engine.gone == {}


@pytest.mark.parametrize("name", ["answers", "leaves", "insists"])
def test_after_its_answer_a_fresh_process_takes_the_place_of_the_old_one(stage: Stage, name: str) -> None:
    """Whether the old one stays, leaves, or asks for more."""
    renewed_again_and_again(stage, name)
    assert stage.log("process-1") == "begun", "the tail is that of the process that is there now"


def renewed_again_and_again(stage: Stage, name: str) -> None:
    stage.start("process-1", name)
    for number in (1, 2, 3):
        stage.waits("process-1")
        stage.give("process-1")
        eventually(lambda: len(stage.engine.renewals) == number)  # noqa: B023 - called at once
    stage.waits("process-1")
    assert stage.engine.answers_of["process-1"] == Succeeded(b'"answered"')
    assert stage.engine.gone == {}


def test_a_renewed_worker_can_be_killed(stage: Stage) -> None:
    stage.start("process-1", "answers")
    stage.waits("process-1")
    stage.give("process-1")
    eventually(lambda: stage.engine.renewals)
    stage.kill("process-1")
    assert stage.gone("process-1")[0] == "was killed"


def test_a_worker_killed_while_it_is_renewed_is_gone(stage: Stage) -> None:
    stage.start("process-1", "answers")
    stage.waits("process-1")

    def answered_and_killed() -> None:
        stage.engine.renewing.add("process-1")
        stage.runner.renew("process-1")
        stage.runner.kill("process-1")

    stage.loop.ask(answered_and_killed)
    assert stage.gone("process-1")[0] == "was killed"
    assert stage.engine.renewals == []


def test_renewing_somebody_unknown_is_no_error(stage: Stage) -> None:
    stage.loop.ask(lambda: stage.runner.renew("nobody"))
    assert stage.engine.gone == {}


def test_a_process_that_dies_before_it_answered_is_gone_not_renewed(stage: Stage) -> None:
    stage.start("process-1", "dies")
    assert stage.gone("process-1") == ("exited with code 3", "out of ink")
    assert stage.engine.renewals == []


def test_what_a_worker_prints_is_passed_on(stage: Stage) -> None:
    stage.start("w1", "prints")
    eventually(lambda: stage.engine.said["w1"] == b"what I have to say\n")
    stage.start("w2", "rambles")
    eventually(lambda: stage.engine.said["w2"] == b"line after line after line\n" * 2000 + b"the end\n")


def test_a_worker_that_uses_too_much_memory_is_ended_and_that_is_said(stage: Stage) -> None:
    stage.start("w1", "grows")
    stage.waits("w1")
    stage.give("w1")
    reason, log = stage.gone("w1")
    assert reason == "used more than the 64 MiB its manifest allows (memory)"
    assert stage.engine.kinds["w1"] == "out-of-memory"
    assert log.startswith("a big one")


def test_closing_ends_everybody(stage: Stage) -> None:
    before = threading.active_count()
    for number in range(3):
        stage.start(f"w{number}", "asks")
        stage.waits(f"w{number}")
    stage.loop.ask(stage.runner.close, timeout=30)
    eventually(lambda: set(stage.engine.gone) == {"w0", "w1", "w2"})
    eventually(lambda: threading.active_count() <= before)
    eventually(lambda: stage.engine.waiting == {})
