"""The entry point of our images, with real clients at the real Runtime API: one process after the other, tidy, patient."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.domain.function import PoolSpec
from edge_agent.domain.invocation import Failed
from edge_agent.engine.functions.dispatch import Engine
from edge_agent.engine.functions.loop import Loop
from edge_agent.runtime_api.server import RuntimeServer
from tests.functions.contract import clients
from tests.functions.contract.clients import Client
from tests.functions.shelf import Shelf
from tests.images.boxes import ENTRY, Boxes
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(180)

ONE = PoolSpec(min_idle=1, max_workers=1)
PUTS_ABOUT = """
    touch "$TMPDIR/mine" "$TMPDIR/.hidden" /dev/shm/mine
    mkdir -p "$TMPDIR/locked/in" && touch "$TMPDIR/locked/in/file" && chmod 0 "$TMPDIR/locked"
    /bin/busybox setsid /bin/busybox sleep 1000 >/dev/null &
    printf '{"pid": "%s"}' $$
"""
LOOKS_ABOUT = """
    found=$(ls -A "$TMPDIR"; ls -A /dev/shm)
    alive=$(ls -d /proc/[0-9]* | /bin/busybox wc -l)
    sessions=$(cut -d ' ' -f 6 /proc/$$/stat)
    printf '{"found": "%s", "alive": %s, "session": %s, "pid": %s}' "$found" "$alive" "$sessions" $$
"""


class Bench:
    """A shelf whose workers are boxes; `restart` is an agent that goes and comes back while they stay."""

    def __init__(self, folder: Path) -> None:
        self.boxes = Boxes(folder / "boxes", keep=True)
        self.shelf = Shelf(folder, runner=self._serve)

    def _serve(self, _loop: Loop, server: RuntimeServer, engine: Engine) -> Boxes:
        return self.boxes.serve(server, engine)

    def log(self) -> str:
        return "".join(box.log for box in self.boxes.boxes)

    def stop(self) -> None:
        try:
            self.shelf.stop()
        finally:
            self.boxes.end()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.stop()


@pytest.fixture(params=["python", "node", "go", "shell"])
def client(request: pytest.FixtureRequest) -> Client:
    return clients.CLIENTS[request.param]


def test_each_event_has_a_fresh_process_of_an_unmodified_client_in_the_same_container(
    bench: Bench, client: Client
) -> None:
    client.declare(bench.shelf, isolation="process", pool=ONE)
    bench.shelf.start()
    for number in range(3):
        assert bench.shelf.answer("tried", {"do": "echo", "number": number})["data"]["number"] == number
    assert len(bench.boxes.boxes) == 1, bench.log()


def test_what_a_process_leaves_behind_is_gone_before_the_next_begins(bench: Bench) -> None:
    bench.shelf.shell(
        "tidy", f"case $1 in *put*) {PUTS_ABOUT};; *) {LOOKS_ABOUT};; esac", isolation="process", pool=ONE
    )
    bench.shelf.start()
    bench.shelf.answer("tidy", {"do": "put"})
    found = bench.shelf.answer("tidy", {"do": "look"})
    assert found["found"] == ""
    assert found["session"] == found["pid"], "not in a session of its own"
    assert len(bench.boxes.boxes) == 1


def test_a_process_that_dies_with_its_event_costs_one_attempt_and_not_the_container(bench: Bench) -> None:
    crash = 'case $1 in *die*) echo "out of ink" >&2; kill -9 $$;; *) echo "{}";; esac'
    bench.shelf.shell("frail", crash, isolation="process", pool=ONE)
    bench.shelf.start()
    event = bench.shelf.send("frail", {"do": "die"})
    lost = eventually(lambda: bench.shelf.settled(event))[0].outcome
    assert isinstance(lost, Failed)
    assert lost.kind == "worker-lost"
    assert "out of ink" in lost.log
    assert bench.shelf.answer("frail", {"do": "live"}) == {}
    assert len(bench.boxes.boxes) == 1


def test_a_command_that_is_not_there_ends_the_container_and_is_the_reason(bench: Bench) -> None:
    bench.shelf.declare("missing", command=("./not-there",), isolation="process", pool=ONE)
    (bench.shelf.folder / "code").mkdir()
    bench.shelf.start()
    error = eventually(lambda: bench.shelf.engine.status()["missing"]["last_error"])
    assert "exited with code 127 before it asked" in error
    assert "./not-there" in error


def test_a_pod_ends_when_it_has_had_its_event(bench: Bench) -> None:
    bench.shelf.shell("once", 'echo "{}"', isolation="pod", pool=PoolSpec(min_idle=0, max_workers=1))
    bench.shelf.start()
    assert bench.shelf.answer("once", {}) == {}
    assert bench.shelf.answer("once", {}) == {}
    eventually(lambda: len(bench.boxes.running()) == 0)
    assert len(bench.boxes.boxes) == 2


def test_one_that_waits_says_so_once_and_ends_when_the_agent_that_comes_back_does_not_know_it(bench: Bench) -> None:
    bench.shelf.python("waits", "def main(event, context): return 1", isolation="pod", pool=ONE)
    bench.shelf.start()
    bench.shelf.idle("waits")
    (box,) = bench.boxes.boxes
    bench.shelf.stop()
    eventually(lambda: "waiting for the agent" in box.log)
    assert box.process.poll() is None
    bench.boxes.boxes.clear()
    bench.shelf.start()
    assert box.process.wait(20) != 0
    assert box.log.count("waiting for the agent") == 1


@pytest.mark.parametrize("isolation", ["process", "shared"])
def test_one_that_waited_for_its_agent_goes_on_in_the_same_container(
    bench: Bench, client: Client, isolation: str
) -> None:
    client.declare(bench.shelf, isolation=isolation, pool=ONE)
    bench.shelf.start()
    assert bench.shelf.answer("tried", {"do": "echo"})
    bench.shelf.stop()
    (box,) = bench.boxes.boxes
    if client.language != "node":  # that one does not leave: it tries again by itself, on a whole core
        eventually(lambda: "waiting for the agent" in box.log)
    bench.shelf.start()
    assert bench.shelf.answer("tried", {"do": "echo", "n": 2})["data"]["n"] == 2
    assert bench.boxes.boxes == [box]


def test_sigterm_is_passed_on_and_ends_the_container_with_the_functions_code(bench: Bench) -> None:
    trapped = "trap 'echo saved; exit 3' TERM; echo ready; while :; do sleep 0.1; done"
    bench.shelf.declare(
        "works", source="/", command=("/bin/busybox", "sh", "-c", trapped), isolation="shared", pool=ONE
    )
    bench.shelf.start()
    (box,) = eventually(lambda: bench.boxes.boxes)
    eventually(lambda: "ready" in box.log)
    os.kill(box.init(), signal.SIGTERM)
    assert box.process.wait(20) == 3, box.log
    assert "saved" in box.log


def test_sigterm_ends_one_that_waits_for_the_agent(bench: Bench) -> None:
    bench.shelf.shell("waits", 'echo "{}"', isolation="shared", pool=ONE)
    bench.shelf.start()
    bench.shelf.idle("waits")
    (box,) = bench.boxes.boxes
    bench.shelf.stop()
    eventually(lambda: "waiting for the agent" in box.log)
    os.kill(box.init(), signal.SIGTERM)
    box.process.wait(10)


def test_orphans_are_buried_while_the_function_works(bench: Bench) -> None:
    orphan = "( ( /bin/busybox true & ) & ); /bin/busybox sleep 0.3; grep -l '^State:.Z' /proc/[0-9]*/status | wc -l"
    bench.shelf.shell("parent", orphan, isolation="shared", pool=ONE)
    bench.shelf.start()
    assert bench.shelf.answer("parent", {}) == 0


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        ((), {"AWS_LAMBDA_RUNTIME_API": "x"}, "give the image a CMD"),
        (("true",), {}, "AWS_LAMBDA_RUNTIME_API is not set"),
    ],
)
def test_what_is_missing_is_said_in_one_line(words: tuple[str, ...], variables: dict[str, str], said: str) -> None:
    done = subprocess.run([ENTRY, *words], env=variables, capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 64
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_shellcheck_finds_nothing() -> None:
    subprocess.run([Path(sys.executable).parent / "shellcheck", "-s", "dash", ENTRY], check=True, timeout=60)
