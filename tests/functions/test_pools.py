"""Pools with real workers: processes that renew themselves, growing and shrinking, hours, starts that fail."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from edge_agent.adapters.run_process import ProcessRunner
from edge_agent.domain.function import PoolSpec, RetrySpec, ScheduleSpec
from edge_agent.domain.invocation import Succeeded
from edge_agent.engine.functions.dispatch import Engine
from edge_agent.engine.functions.loop import Loop
from edge_agent.runtime_api.server import RuntimeServer
from tests.functions.shelf import SHELL, Shelf
from tests.waiting import eventually

HELD = "until [ -e ../go ]; do /bin/busybox usleep 5000; done; "
ENGINE = "edge_agent.engine.functions"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of two seconds and of a fifth."""
    monkeypatch.setattr(f"{ENGINE}.demand.STABLE", 2.0)
    monkeypatch.setattr(f"{ENGINE}.demand.PANIC", 0.2)
    monkeypatch.setattr(f"{ENGINE}.demand.TICK", 0.1)


def status(shelf: Shelf, name: str) -> Any:
    return shelf.engine.status()[name]


def workers(shelf: Shelf, name: str) -> int:
    return sum(status(shelf, name)["workers"].values())


def serve_many(shelf: Shelf, name: str) -> None:
    """Have a shell function ask again when it has answered."""
    shelf.write(name, (shelf.folder / "code" / name).read_text().replace("exec /bin", "/bin") + "exec $0\n")


def impatient(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(f"{ENGINE}.dispatch.Engine.start_timeout", seconds)
    monkeypatch.setattr(f"{ENGINE}.staff.START_TIMEOUT", seconds)
    monkeypatch.setattr(f"{ENGINE}.crew.START_TIMEOUT", seconds)


# -- isolation: process


def test_a_slot_stays_and_each_event_has_a_process_of_its_own(shelf: Shelf) -> None:
    shelf.shell("pump", "echo $$", isolation="process", pool=PoolSpec(min_idle=1, max_workers=1))
    shelf.start()
    pids = [shelf.answer("pump") for _ in range(6)]
    assert len(set(pids)) == 6
    assert shelf.engine.stats.starts["pump"] == 1
    assert len(list((shelf.folder / "workers").iterdir())) == 1
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    shelf.idle("pump")


def test_as_many_slots_wait_as_the_minimum_says_beside_one_that_is_busy_for_long(shelf: Shelf) -> None:
    shelf.shell("pump", HELD + "echo 1", isolation="process", pool=PoolSpec(min_idle=2, max_workers=4))
    shelf.start()
    shelf.idle("pump", 2)
    held = shelf.send("pump")
    eventually(lambda: status(shelf, "pump")["workers"] == {"starting": 0, "idle": 2, "busy": 1, "ending": 0})
    (shelf.folder / "go").touch()
    shelf.end(held)
    eventually(lambda: status(shelf, "pump")["workers"] == {"starting": 0, "idle": 3, "busy": 0, "ending": 0})
    assert shelf.engine.stats.starts["pump"] == 3


def test_quick_events_one_after_the_other_need_one_slot(shelf: Shelf) -> None:
    shelf.shell("pump", "echo 1", isolation="process", pool=PoolSpec(min_idle=1, max_workers=4))
    shelf.start()
    shelf.idle("pump")
    for _ in range(20):
        assert shelf.answer("pump") == 1
    assert shelf.engine.stats.starts["pump"] <= 2  # a second one if an event once took longer than a start


class Forgetful(ProcessRunner):
    """It never renews anything."""

    def renew(self, worker_id: str) -> None:
        pass


def test_a_slot_that_is_never_renewed_is_ended_and_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch, 0.7)

    def make(loop: Loop, server: RuntimeServer, engine: Engine) -> ProcessRunner:
        return Forgetful(loop, server, engine, tmp_path / "workers")

    shelf = Shelf(tmp_path, runner=make)
    try:
        shelf.shell("pump", "echo $$", isolation="process", pool=PoolSpec(max_workers=1))
        stay = (tmp_path / "code" / "pump").read_text().replace("exec /bin/busybox wget", "/bin/busybox wget")
        shelf.write("pump", stay + "exec /bin/busybox sleep 1000\n")
        shelf.start()
        one, two = shelf.answer("pump"), shelf.answer("pump")
        assert one != two
        eventually(lambda: not Path(f"/proc/{one}").exists())
        assert shelf.engine.stats.starts["pump"] >= 2
        assert shelf.engine.stats.start_failures["pump"] == 0
        eventually(lambda: "had no fresh process within 0.7 s" in status(shelf, "pump")["last_error"])
    finally:
        shelf.stop()


@pytest.mark.parametrize(
    ("dies", "said"),
    [
        ("echo out of water >&2; exit 7", "exited with code 7 before it asked for an event; it printed: out of water"),
        (
            '/bin/busybox wget -q -O /dev/null --post-data \'{"errorMessage":"out of water"}\' '
            "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/init/error; exit 1",
            "out of water",
        ),
    ],
)
def test_a_fresh_process_that_cannot_begin_costs_no_event_an_attempt(shelf: Shelf, dies: str, said: str) -> None:
    shelf.shell("pump", "echo 1", isolation="process", pool=PoolSpec(max_workers=1), retry=RetrySpec(attempts=1))
    shelf.write(
        "pump", SHELL.replace("@HANDLE@", "echo 1").replace("handle()", f"[ -e ../go ] || {{ {dies}; }}\nhandle()")
    )
    (shelf.folder / "go").touch()
    shelf.start()
    assert shelf.answer("pump") == 1
    shelf.idle("pump")
    (shelf.folder / "go").unlink()
    assert shelf.answer("pump") == 1  # the process that waits began while it could
    invocation = shelf.send("pump")
    eventually(lambda: said in status(shelf, "pump")["last_error"])
    (shelf.folder / "go").touch()
    assert shelf.outcome(invocation) == Succeeded(b"1")
    assert shelf.end(invocation).attempt.number == 1
    assert status(shelf, "pump")["last_error"] == ""


def test_a_process_killed_at_work_costs_its_event_an_attempt_and_is_replaced(shelf: Shelf) -> None:
    text = "[ -e ../die ] && { rm ../die; kill -9 $$; }; echo 2"
    shelf.shell("pump", text, isolation="process", pool=PoolSpec(min_idle=1, max_workers=1))
    shelf.start()
    assert shelf.answer("pump") == 2
    (shelf.folder / "die").touch()
    invocation = shelf.send("pump")
    assert shelf.outcome(invocation) == Succeeded(b"2")
    assert [settled.attempt.number for settled in shelf.settled(invocation)] == [1, 2]
    assert shelf.engine.stats.start_failures["pump"] == 0


# -- growing and shrinking


@pytest.mark.parametrize("isolation", ["pod", "process", "shared"])
def test_slow_events_get_a_worker_each_up_to_the_ceiling_and_the_pool_shrinks_again(
    shelf: Shelf, quick: None, isolation: str
) -> None:
    pool = PoolSpec(min_idle=1, max_workers=3, idle_timeout=0.5)
    shelf.shell("pump", HELD + "echo 1", isolation=isolation, pool=pool)
    if isolation == "shared":
        serve_many(shelf, "pump")
    shelf.start()
    invocations = [shelf.send("pump") for _ in range(6)]
    eventually(lambda: status(shelf, "pump")["workers"]["busy"] == 3)
    eventually(lambda: status(shelf, "pump")["panic"] or isolation == "pod")
    found = status(shelf, "pump")
    assert (found["queued"], found["desired"]) == (3, 3)
    eventually(lambda: status(shelf, "pump")["concurrency"]["panic"] > 5)
    (shelf.folder / "go").touch()
    for invocation in invocations:
        shelf.end(invocation)
    eventually(lambda: workers(shelf, "pump") == status(shelf, "pump")["workers"]["idle"] == 1, timeout=30)
    eventually(lambda: status(shelf, "pump")["concurrency"] == {"stable": 0.0, "panic": 0.0})
    assert not status(shelf, "pump")["panic"]


def test_quick_events_in_a_burst_do_not_make_many_workers_that_serve_many(shelf: Shelf) -> None:
    text = "def main(event, context):\n    return 1\n"
    shelf.python("pump", text, isolation="shared", pool=PoolSpec(min_idle=1, max_workers=8))
    shelf.start()
    shelf.idle("pump")
    for _ in range(20):
        shelf.answer("pump")
    invocations = [shelf.send("pump") for _ in range(40)]
    for invocation in invocations:
        shelf.end(invocation)
    assert shelf.engine.stats.starts["pump"] <= 3


def test_fresh_workers_wait_ahead_of_events_that_come_often_and_no_longer_when_they_stop(
    shelf: Shelf, quick: None
) -> None:
    shelf.shell("pump", "echo 1", pool=PoolSpec(min_idle=0, max_workers=6, idle_timeout=0.3))
    shelf.start()
    eventually(lambda: shelf.answer("pump") and status(shelf, "pump")["workers"]["idle"])
    eventually(lambda: workers(shelf, "pump") == 0)


def test_one_event_makes_nobody_wait_behind_it(shelf: Shelf) -> None:
    shelf.shell("pump", "echo 1", pool=PoolSpec(min_idle=0, max_workers=6))
    shelf.start()
    assert shelf.answer("pump") == 1
    eventually(lambda: workers(shelf, "pump") == 0)
    assert shelf.engine.stats.starts["pump"] == 1


def test_other_numbers_in_the_manifest_keep_the_workers_there_are(shelf: Shelf) -> None:
    shelf.shell("pump", "echo 1", isolation="process", pool=PoolSpec(min_idle=1, max_workers=4))
    shelf.start()
    shelf.idle("pump")
    (slot,) = (path.name for path in (shelf.folder / "workers").iterdir())
    shelf.shell("pump", "echo 1", isolation="process", pool=PoolSpec(min_idle=2, max_workers=4), timeout=5.0)
    shelf.engine.replace(dict(shelf.functions))
    shelf.idle("pump", 2)
    assert [shelf.answer("pump") for _ in range(4)] == [1] * 4
    assert slot in [path.name for path in (shelf.folder / "workers").iterdir()]
    assert shelf.engine.stats.starts["pump"] == 2
    shelf.shell("pump", "echo 1", isolation="process", pool=PoolSpec(min_idle=2, max_workers=4), env={"A": "1"})
    shelf.engine.replace(dict(shelf.functions))
    eventually(lambda: slot not in [path.name for path in (shelf.folder / "workers").iterdir()])
    shelf.idle("pump", 2)


# -- hours


def test_in_its_hours_more_wait_and_after_them_no_longer(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{ENGINE}.minimum.LOOK", 0.05)
    morning = ScheduleSpec("0 7 * * *", "Europe/Dublin", 2, 3600.0)
    shelf.shell("pump", "echo 1", pool=PoolSpec(0, 4, 0.2, (morning,)))
    shelf.start()
    begin, at_start = time.monotonic(), 1768028340.0  # 2026-01-10 06:59 UTC
    shift = 0.0
    shelf.engine.clock = lambda: (at_start + shift + time.monotonic() - begin) * 1000
    shelf.engine.scale("pump", None)  # it reads the clock anew
    eventually(lambda: status(shelf, "pump")["schedule"] is None)
    assert workers(shelf, "pump") == 0
    shift = 60.0
    shelf.idle("pump", 2)
    found = status(shelf, "pump")
    assert found["schedule"] == {
        "cron": "0 7 * * *",
        "time_zone": "Europe/Dublin",
        "min_idle": 2,
        "until": 1768032000000,
    }
    assert found["min_idle"] == 2
    shift = -3600.0  # somebody sets the clock back an hour
    eventually(lambda: workers(shelf, "pump") == 0)
    shift = 3600.0
    shelf.idle("pump", 2)
    shift = 3700.0
    eventually(lambda: workers(shelf, "pump") == 0)
    assert shelf.answer("pump") == 1


def test_an_agent_that_restarts_in_the_middle_of_the_hours_is_in_them(shelf: Shelf) -> None:
    always = ScheduleSpec("*/5 * * * *", "America/New_York", 2, 900.0)
    shelf.shell("pump", "echo 1", pool=PoolSpec(0, 4, schedule=(always,)))
    for _ in range(2):
        shelf.start()
        shelf.idle("pump", 2)
        assert status(shelf, "pump")["schedule"]["min_idle"] == 2
        shelf.stop()


# -- starts that fail


@pytest.mark.parametrize("isolation", ["pod", "process", "shared"])
@pytest.mark.parametrize(
    ("before", "said"),
    [
        (
            "echo no water >&2; exit 4",
            "its worker exited with code 4 before it asked for an event; it printed: no water",
        ),
        ("echo no water >&2; kill -9 $$", "its worker was killed by SIGKILL before it asked for an event"),
        ("echo no water; /bin/busybox sleep 1000", "did not ask for an event within 1.5 s; it printed: no water"),
        (
            '/bin/busybox wget -q -O /dev/null --post-data \'{"errorMessage":"no water"}\' '
            "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/init/error; exit 1",
            "no water",
        ),
    ],
    ids=["exits", "dies", "hangs", "says-so"],
)
def test_a_start_that_fails_costs_no_event_an_attempt_and_the_reason_is_known_until_one_works(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, isolation: str, before: str, said: str
) -> None:
    impatient(monkeypatch, 1.5)
    first, _, rest = SHELL.replace("@HANDLE@", "echo 1").partition("\n")
    shelf.write("pump", f"{first}\n[ -e ../go ] || {{ {before}; }}\n{rest}")
    shelf.declare("pump", command=("./pump",), isolation=isolation, pool=PoolSpec(0, 4), retry=RetrySpec(attempts=1))
    shelf.start()
    invocations = [shelf.send("pump") for _ in range(3)]
    eventually(lambda: said in status(shelf, "pump")["last_error"])
    assert shelf.engine.stats.start_failures["pump"] >= 1
    (shelf.folder / "go").touch()
    assert [shelf.outcome(invocation) for invocation in invocations] == [Succeeded(b"1")] * 3
    assert {shelf.end(invocation).attempt.number for invocation in invocations} == {1}
    found = status(shelf, "pump")
    assert (found["last_error"], found["next_start"]) == ("", 0.0)


def test_failing_starts_come_one_at_a_time_and_less_and_less_often(shelf: Shelf) -> None:
    shelf.write("pump", "#!/bin/busybox sh\nexit 1\n")
    shelf.declare("pump", command=("./pump",), pool=PoolSpec(min_idle=4, max_workers=4))
    began = time.monotonic()
    shelf.start()
    eventually(lambda: shelf.engine.stats.start_failures["pump"] >= 7)
    assert time.monotonic() - began >= 0.25 + 0.5 + 1.0  # pauses of half a second, one and two: at least half of each
    assert shelf.engine.stats.starts["pump"] <= 8  # four at once, then one after each pause
    eventually(lambda: status(shelf, "pump")["next_start"] > 0)


def test_a_function_that_cannot_start_keeps_no_other_waiting(shelf: Shelf) -> None:
    shelf.write("broken", "#!/bin/busybox sh\nexit 1\n")
    shelf.declare("broken", command=("./broken",), pool=PoolSpec(min_idle=4, max_workers=4))
    shelf.shell("well", "echo 1", pool=PoolSpec(min_idle=1))
    shelf.start()
    stuck = shelf.send("broken")
    assert [shelf.answer("well") for _ in range(5)] == [1] * 5
    assert shelf.settled(stuck) == []


# -- workers of which harm could come


@pytest.mark.parametrize("isolation", ["pod", "process", "shared"])
def test_all_workers_of_a_function_hanging_delay_no_event_of_another(shelf: Shelf, isolation: str) -> None:
    shelf.shell("hang", "/bin/busybox sleep 1000", isolation=isolation, pool=PoolSpec(0, 2), timeout=1000.0)
    shelf.shell("well", "echo 1", isolation=isolation, pool=PoolSpec(min_idle=1, max_workers=1))
    if isolation == "shared":
        serve_many(shelf, "well")
    shelf.start()
    hanging = [shelf.send("hang") for _ in range(4)]
    eventually(lambda: status(shelf, "hang")["workers"]["busy"] == 2)
    assert [shelf.answer("well") for _ in range(5)] == [1] * 5
    assert [shelf.settled(invocation) for invocation in hanging] == [[]] * 4


ANSWER_TWICE = r"""
url=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id
for word in '"first"' '"second"' '"third"'; do
    /bin/busybox wget -q -O /dev/null --post-data "$word" $url/response
    /bin/busybox wget -q -O /dev/null --post-data '{"errorMessage":"no"}' $url/error
done
exit 0
"""


@pytest.mark.parametrize("isolation", ["pod", "process"])
def test_a_worker_that_answers_again_and_again_has_answered_once(shelf: Shelf, isolation: str) -> None:
    shelf.shell("loud", "echo 0", isolation=isolation, pool=PoolSpec(1, 2))
    shelf.write("loud", SHELL.partition("response=")[0].replace("@HANDLE@", "true") + ANSWER_TWICE)
    shelf.shell("well", "echo 1", isolation=isolation)
    shelf.start()
    invocations = [shelf.send("loud") for _ in range(4)]
    assert [shelf.answer("well") for _ in range(3)] == [1] * 3
    assert [shelf.outcome(invocation) for invocation in invocations] == [Succeeded(b'"first"')] * 4
    assert [len(shelf.settled(invocation)) for invocation in invocations] == [1] * 4


def test_what_a_process_leaves_running_in_another_session_is_gone_before_the_next_event(shelf: Shelf) -> None:
    text = (
        "for pid in $(cat ../left 2>/dev/null); do [ -e /proc/$pid ] && echo alive && return; done; "
        "/bin/busybox setsid /bin/busybox sleep 1000 >/dev/null 2>&1 & echo $! >> ../left; echo 1"
    )
    shelf.shell("fork", text, isolation="process", pool=PoolSpec(max_workers=1))
    shelf.start()
    assert [shelf.answer("fork") for _ in range(5)] == [1] * 5
    assert shelf.engine.stats.starts["fork"] == 1


def test_an_idle_worker_that_is_killed_counts_as_no_failed_start(shelf: Shelf) -> None:
    shelf.shell("pump", "echo $$", isolation="process", pool=PoolSpec(min_idle=1, max_workers=1))
    shelf.start()
    assert shelf.answer("pump")
    shelf.idle("pump")
    (worker,) = (path.name for path in (shelf.folder / "workers").iterdir())
    home = f"HOME={shelf.folder}/workers/{worker}".encode()
    (pid,) = (
        int(path.name)
        for path in Path("/proc").iterdir()
        if path.name.isdigit() and home in _environment(path) and os.getsid(int(path.name)) == int(path.name)
    )
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: shelf.engine.stats.starts["pump"] == 2)
    shelf.idle("pump")
    assert shelf.engine.stats.start_failures["pump"] == 0


def _environment(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""
