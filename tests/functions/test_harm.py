"""Workers that hang, fork away, flood, die; an agent that is killed. Nobody else suffers and nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from edge_agent.adapters.run_process import ProcessRunner
from edge_agent.domain.function import PoolSpec, RetrySpec
from edge_agent.domain.invocation import Failed, Succeeded
from edge_agent.engine.functions import staff
from edge_agent.engine.functions.dispatch import Engine
from edge_agent.engine.functions.loop import Loop
from edge_agent.runtime_api.server import RuntimeServer
from tests.functions.shelf import Shelf
from tests.waiting import eventually

ONE = RetrySpec(attempts=1)
ALONE = PoolSpec(max_workers=1)


def alive(pid: int) -> bool:
    """Is there such a process, and has it not ended (a zombie has)?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def pids(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir()] if folder.exists() else []


HANG = """
mkdir -p ../pids
/bin/busybox sleep 1000 & : > ../pids/$!
/bin/busybox setsid /bin/busybox sleep 1000 & : > ../pids/$!
: > ../pids/$$
echo "waiting for the sea to dry"
wait
"""


def test_a_timeout_kills_the_worker_and_everything_it_started(shelf: Shelf) -> None:
    shelf.shell("hang", HANG.replace("echo", "echo >&2"), timeout=1.0, retry=ONE)
    shelf.start()
    failed = shelf.failure("hang")
    assert failed.kind == "timeout"
    assert failed.reason == "did not answer within 1 s"
    assert "waiting for the sea to dry" in failed.log
    started = pids(shelf.folder / "pids")
    assert len(started) == 3
    eventually(lambda: not any(alive(pid) for pid in started))


def test_what_a_fresh_worker_leaves_running_ends_with_it(shelf: Shelf) -> None:
    text = "mkdir -p ../pids; /bin/busybox sleep 1000 >/dev/null 2>&1 & : > ../pids/$!; echo 1"
    shelf.shell("leave", text)
    shelf.start()
    assert shelf.answer("leave") == 1
    (left,) = pids(shelf.folder / "pids")
    eventually(lambda: not alive(left))


def test_a_worker_killed_in_the_middle_of_an_event_is_replaced_and_the_event_answered(shelf: Shelf) -> None:
    text = (
        "import os, pathlib, time\n"
        "def main(event, context):\n"
        "    mark = pathlib.Path('../running')\n"
        "    if not mark.exists():\n"
        "        mark.write_text(str(os.getpid()))\n"
        "        time.sleep(1000)\n"
        "    return 'done'\n"
    )
    shelf.python("victim", text, isolation="shared", pool=ALONE)
    shelf.start()
    invocation = shelf.send("victim")
    running = shelf.folder / "running"
    eventually(lambda: running.exists() and running.read_text())
    os.kill(int(running.read_text()), signal.SIGKILL)
    assert shelf.outcome(invocation) == Succeeded(b'"done"')
    first, second = shelf.settled(invocation)
    assert isinstance(first.outcome, Failed)
    assert first.outcome.reason == "its worker was killed by SIGKILL before it answered"
    assert (first.attempt.number, second.attempt.number) == (1, 2)


def test_an_idle_worker_that_dies_is_replaced_unasked(shelf: Shelf) -> None:
    shelf.shell("idle", "echo 1", pool=PoolSpec(min_idle=1))
    shelf.start()
    shelf.idle("idle")
    (first,) = _workers(shelf)
    os.kill(first, signal.SIGKILL)
    eventually(lambda: [pid for pid in _workers(shelf) if pid != first])
    shelf.idle("idle")
    assert shelf.answer("idle") == 1


def _workers(shelf: Shelf) -> list[int]:
    """Session leaders whose environment says that they are workers of this shelf."""
    wanted = f"HOME={shelf.folder}/workers/".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                pid = int(entry.name)
                if wanted in (entry / "environ").read_bytes() and os.getsid(pid) == pid:
                    found.append(pid)
    return found


def test_a_worker_that_floods_its_log_keeps_only_the_tail_and_stops_nobody(shelf: Shelf) -> None:
    shelf.shell("flood", "/bin/busybox yes 'all work and no play' >&2", timeout=2.0, retry=ONE)
    shelf.shell("calm", "echo 1", pool=PoolSpec(min_idle=1))
    shelf.start()
    flooding = shelf.send("flood")
    eventually(lambda: shelf.engine.status()["flood"]["workers"]["busy"])
    assert [shelf.answer("calm") for _ in range(5)] == [1] * 5
    failed = shelf.outcome(flooding)
    assert isinstance(failed, Failed)
    assert failed.kind == "timeout"
    assert "all work and no play" in failed.log
    assert len(failed.log) <= 4096


def test_a_worker_that_never_asks_is_ended_and_counted_as_a_failed_start(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.engine.functions.dispatch.Engine.start_timeout", 0.5)
    monkeypatch.setattr("edge_agent.engine.functions.staff.START_TIMEOUT", 0.5)
    monkeypatch.setattr("edge_agent.engine.functions.crew.START_TIMEOUT", 0.5)
    assert staff.START_TIMEOUT == 0.5
    shelf.write("x", "")
    shelf.declare("mute", command=("/bin/sh", "-c", "echo thinking; sleep 1000"), retry=RetrySpec(1, 2.0))
    shelf.start()
    failed = shelf.failure("mute")
    assert failed.kind == "expired"
    assert "did not ask for an event within 0.5 s; it printed: thinking" in failed.reason


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"command": ("no-such-command",)}, "no-such-command"),
        ({"command": ("sh",), "source": "/no/such/folder"}, "its source folder /no/such/folder does not exist"),
        ({"command": ("sh",), "secrets": ("smtp",)}, "the secret smtp is missing: put it into"),
        ({}, "has no command"),
    ],
)
def test_why_a_function_cannot_start_is_in_the_dead_letter(shelf: Shelf, changes: dict[str, object], said: str) -> None:
    shelf.write("x", "")
    shelf.declare("unready", retry=RetrySpec(1, 0.8), **changes)
    shelf.start()
    failed = shelf.failure("unready")
    assert failed.kind == "expired"
    assert said in failed.reason
    assert said in shelf.engine.status()["unready"]["last_error"]


def test_secrets_are_files_that_only_declaring_functions_see(shelf: Shelf) -> None:
    text = (
        "import os, pathlib\n"
        "def main(event, context):\n"
        "    folder = pathlib.Path(os.environ['EDGE_SECRETS'])\n"
        "    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.glob('*/*'))}\n"
    )
    for name in ("smtp", "other"):
        (shelf.folder / "secrets" / name).mkdir(parents=True)
        (shelf.folder / "secrets" / name / "password").write_text(f"of {name}")
    shelf.python("keeper", text, secrets=("smtp",), isolation="shared")
    shelf.python("stranger", text)
    shelf.start()
    assert shelf.answer("keeper") == {"smtp/password": "of smtp"}
    assert shelf.answer("stranger") == {}
    (shelf.folder / "secrets" / "smtp" / "password").write_text("of smtp, changed")
    assert shelf.answer("keeper") == {"smtp/password": "of smtp, changed"}


def test_workers_run_as_another_user_when_the_agent_may_do_that() -> None:
    """Root may; anybody else is told why not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o711)
    nobody = 65534

    def make(loop: Loop, server: RuntimeServer, engine: Engine) -> ProcessRunner:
        return ProcessRunner(loop, server, engine, folder / "workers", run_as=(nobody, nobody))

    shelf = Shelf(folder, runner=make, worker_uid=nobody)
    text = """printf '"%s"' "$(/bin/busybox id -u) $(/bin/busybox id -G) $(/bin/busybox touch "$TMPDIR/mine" && echo ok)" """
    shelf.shell("whoami", text, retry=RetrySpec(1, 2.0))
    shelf.start()
    try:
        if os.getuid() == 0:
            assert shelf.answer("whoami") == f"{nobody} {nobody} ok"
        else:
            assert "Operation not permitted" in shelf.failure("whoami").reason
    finally:
        shelf.stop()
        shutil.rmtree(folder)


AGENT = """
import sys, time
from pathlib import Path
from edge_agent.domain.function import PoolSpec
from tests.functions.shelf import Shelf
shelf = Shelf(Path(sys.argv[1]))
shelf.shell("idle", "echo 1", pool=PoolSpec(min_idle=2))
shelf.shell("hang", Path(sys.argv[2]).read_text())
shelf.start()
shelf.idle("idle", 2)
shelf.send("hang")
time.sleep(1000)
"""


def test_an_agent_killed_with_nine_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    (tmp_path / "hang.sh").write_text(HANG.replace("echo", "echo >&2"))
    agent = subprocess.Popen(
        [sys.executable, "-c", AGENT, str(tmp_path / "shelf"), str(tmp_path / "hang.sh")],
        cwd=Path(__file__).parents[2],
    )
    try:
        marker = f"HOME={tmp_path}/shelf/workers/".encode()
        eventually(lambda: len(pids(tmp_path / "shelf" / "pids")) == 3)
        assert len(_marked(marker)) >= 5  # two idle workers, the busy one, and its two children
    finally:
        agent.kill()
        agent.wait()
    eventually(lambda: _marked(marker) == [])
    eventually(lambda: not (tmp_path / "shelf" / "workers").exists())
    assert not any(alive(pid) for pid in pids(tmp_path / "shelf" / "pids"))


def _marked(marker: bytes) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if marker in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
    return found


def test_nothing_is_left_after_many_events(shelf: Shelf) -> None:
    shelf.shell("many", "echo 1", pool=PoolSpec(min_idle=2, max_workers=2))
    shelf.start()
    shelf.idle("many", 2)
    files = len(list(Path("/proc/self/fd").iterdir()))
    invocations = [shelf.send("many") for _ in range(60)]
    for invocation in invocations:
        shelf.end(invocation)
    eventually(lambda: sum(shelf.engine.status()["many"]["workers"].values()) == 2)
    shelf.idle("many", 2)
    eventually(lambda: len(list((shelf.folder / "workers").iterdir())) == 2)
    eventually(lambda: len(list(Path("/proc/self/fd").iterdir())) <= files)
    shelf.stop()
    assert not (shelf.folder / "workers").exists()
    assert _workers(shelf) == []


def test_stopping_ends_a_worker_that_hangs_and_leaves_its_event_for_the_next_start(shelf: Shelf) -> None:
    shelf.shell("hang", HANG.replace("echo", "echo >&2"))
    shelf.start()
    invocation = shelf.send("hang")
    eventually(lambda: len(pids(shelf.folder / "pids")) == 3)
    shelf.stop()
    assert not any(alive(pid) for pid in pids(shelf.folder / "pids"))
    assert shelf.settled(invocation) == []


def test_workers_and_agent_killed_at_random_under_load_end_every_event_once(shelf: Shelf) -> None:
    chance = random.Random(4)
    often = RetrySpec(attempts=20)
    shelf.shell("fresh", "/bin/busybox usleep 5000; echo 1", pool=PoolSpec(1, 3), retry=often)
    shelf.python("shared", "def main(event, context):\n    return 1\n", isolation="shared", pool=ALONE, retry=often)
    shelf.start()
    invocations = []
    for round_ in range(40):
        invocations += [shelf.send(chance.choice(["fresh", "shared"])) for _ in range(4)]
        if victims := _workers(shelf):
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(victims), signal.SIGKILL)
        if round_ == 20:
            shelf.stop()
            shelf.start()
    assert {shelf.end(invocation).state for invocation in invocations} == {"answered"}
    ends = [[s for s in shelf.settled(invocation) if s.state == "answered"] for invocation in invocations]
    assert {len(found) for found in ends} == {1}
    assert shelf.journal.flush()
    assert shelf.journal.pending_invocations() == []
