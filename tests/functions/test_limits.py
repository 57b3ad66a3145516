"""What a worker may use, and what becomes of one that wants more: with control groups, and as on a laptop without.

Nobody else suffers, the event ends with a sentence that says what to change, and nothing is left behind.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.adapters.run_process import ProcessRunner
from edge_agent.adapters.run_process.output import BURST, RATE, Output
from edge_agent.domain.function import LONGEST_TIMEOUT, MAX_PAYLOAD, FunctionSpec, MiB, PoolSpec, RetrySpec
from edge_agent.domain.invocation import Succeeded
from edge_agent.manifests.function import parse_function
from tests.functions.shelf import Shelf
from tests.waiting import eventually

ONE = RetrySpec(attempts=1)
ALONE = PoolSpec(max_workers=1)


@pytest.fixture(params=["groups", "no-groups"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    """One with the control groups of this system, if it gives any; and one without."""

    def make(loop: Any, server: Any, engine: Any) -> ProcessRunner:
        folder, secrets = tmp_path / "workers", tmp_path / "secrets"
        return ProcessRunner(loop, server, engine, folder, secrets=secrets, groups=request.param == "groups")

    shelf = Shelf(tmp_path, runner=make)
    yield shelf
    shelf.stop()
    assert marked(tmp_path) == []
    assert groups_of(tmp_path) == []
    assert not (tmp_path / "workers").exists()


def runner_of(shelf: Shelf) -> ProcessRunner:
    runner = shelf.engine.runner
    assert isinstance(runner, ProcessRunner)
    return runner


def has_groups(shelf: Shelf) -> bool:
    """All of them. Where `EDGE_TEST_CGROUP_VERSION` says that there are some, the tests with groups must have those."""
    limits = eventually(lambda: said if "memory" in (said := runner_of(shelf).limits) else "")
    if (version := os.environ.get("EDGE_TEST_CGROUP_VERSION")) and "not wanted" not in limits:
        assert limits.count(f"control group (version {version})") == 3, limits
    return limits.count("control group (") == 3


def groups_of(folder: Path) -> list[Path]:
    """Control groups of the runner whose workers' folder is in `folder`."""
    name = f"edge-{ProcessRunner.mark_of(folder / 'workers')}"
    return [Path(at) / name for at, names, _ in os.walk("/sys/fs/cgroup") if name in names]


def marked(folder: Path) -> list[int]:
    """Processes that were started by workers of the runner in `folder`, and live."""
    mark = f"EDGE_WORKER={ProcessRunner.mark_of(folder / 'workers')}/".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def python(shelf: Shelf, name: str, body: str, **changes: Any) -> FunctionSpec:
    """A fresh worker per event, with its own standard library and nothing else."""
    text = "import http.client, json, os, subprocess, sys, time\ndef main(event):\n" + body + CLIENT
    shelf.write(f"{name}.py", text)
    return shelf.declare(name, command=("python3", "-I", "-S", f"{name}.py"), **changes)


CLIENT = """
while True:
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    base = "/2018-06-01/runtime/invocation/"
    api.request("GET", base + "next")
    response = api.getresponse()
    event = json.loads(response.read())
    if response.status != 200:
        sys.exit(1)
    path = base + response.getheader("Lambda-Runtime-Aws-Request-Id")
    try:
        answer = json.dumps(main(event["data"]))
    except Exception as error:
        api.request("POST", path + "/error", json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)}))
    else:
        api.request("POST", path + "/response", answer)
    api.getresponse().read()
"""


# -- memory


@pytest.mark.parametrize("isolation", ["pod", "process", "shared"])
def test_a_worker_that_uses_more_memory_than_it_may_ends_with_a_plain_sentence(shelf: Shelf, isolation: str) -> None:
    python(
        shelf,
        "hog",
        "    return len(bytearray(event * 1024 * 1024))\n",
        retry=ONE,
        isolation=isolation,
        memory=48 * MiB,
    )
    shelf.start()
    assert shelf.answer("hog", 16) == 16 * MiB
    failed = shelf.failure("hog", 400)
    assert failed.kind == "out-of-memory"
    assert failed.reason == "its worker used more than the 48 MiB its manifest allows (memory) before it answered"
    assert shelf.answer("hog", 8) == 8 * MiB


def test_what_its_children_use_counts_too(shelf: Shelf) -> None:
    body = (
        "    hog = 'import time; x = bytearray(20 * 1024 * 1024); time.sleep(1000)'\n"
        "    [subprocess.Popen([sys.executable, '-I', '-S', '-c', hog], start_new_session=True) for _ in range(4)]\n"
        "    time.sleep(1000)\n"
    )
    python(shelf, "family", body, retry=ONE)
    shelf.start()
    assert shelf.failure("family").kind == "out-of-memory"
    eventually(lambda: marked(shelf.folder) == [])


def test_a_worker_too_small_to_start_says_that_memory_is_why(shelf: Shelf) -> None:
    shelf.write("big.py", "x = bytearray(300 * 1024 * 1024)\nimport time; time.sleep(1000)\n")
    shelf.declare("big", command=("python3", "-I", "-S", "big.py"), retry=RetrySpec(1, 8))
    shelf.start()
    failed = shelf.failure("big")
    assert failed.kind == "expired"
    assert (
        "its worker used more than the 64 MiB its manifest allows (memory) before it asked for an event"
        in failed.reason
    )


# -- processes


BOMB = (
    "    [subprocess.Popen(['/bin/sleep', '1000'], start_new_session=True) for _ in range(600)]\n    time.sleep(1000)\n"
)


def test_a_worker_that_starts_too_many_processes_ends_and_so_do_they(shelf: Shelf) -> None:
    python(shelf, "bomb", BOMB, retry=ONE, isolation="process", memory=512 * MiB, cpu=1.0)
    shelf.shell("calm", "echo 1", pool=PoolSpec(min_idle=1))
    shelf.start()
    failed = shelf.failure("bomb")
    assert shelf.answer("calm") == 1
    if has_groups(shelf) and failed.kind == "function-error":  # the kernel refused the process before we looked
        assert "Resource temporarily unavailable" in failed.reason
    else:
        assert failed.kind == "too-many-processes"
        assert failed.reason.startswith("its worker started more than 256 processes; let it start fewer")
    eventually(lambda: len(marked(shelf.folder)) <= 8)


GETAWAY = """
    code = "import os, sys, time; os.setsid(); os.fork() and os._exit(0); "
    code += "open(sys.argv[1] + str(os.getpid()), 'w'); time.sleep(1000)"
    subprocess.Popen([sys.executable, "-I", "-S", "-c", code, os.getcwd() + "/pid-"], env={})
    while not [name for name in os.listdir() if name.startswith("pid-")]:
        time.sleep(0.01)
    return [int(name[4:]) for name in os.listdir() if name.startswith("pid-")]
"""


@pytest.mark.parametrize("isolation", ["pod", "process"])
def test_who_forks_away_twice_in_a_session_of_its_own_with_nothing_in_its_environment_ends_too(
    shelf: Shelf, isolation: str
) -> None:
    python(shelf, "getaway", GETAWAY, isolation=isolation)
    shelf.start()
    (pid,) = shelf.answer("getaway")
    eventually(lambda: not alive(pid))


def test_a_worker_may_open_so_many_files_and_no_more(shelf: Shelf) -> None:
    python(shelf, "opener", "    return len([open('/dev/null') for _ in range(event)])\n", retry=ONE)
    shelf.start()
    assert shelf.answer("opener", 900) == 900
    failed = shelf.failure("opener", 1100)
    assert failed.kind == "function-error"
    assert "Too many open files" in failed.reason


def test_a_worker_has_its_input_and_output_and_no_other_file_of_ours(shelf: Shelf) -> None:
    body = "    return [os.readlink(entry.path) for entry in os.scandir('/proc/self/fd')]\n"
    python(shelf, "files", body)
    shelf.start()
    kinds = sorted(link.partition(":")[0] for link in shelf.answer("files"))
    assert kinds[:2] == ["/dev/null", kinds[1]]
    assert kinds[1].startswith("/proc/"), "the folder it is reading"
    assert kinds[2:] == ["pipe", "pipe", "socket"], "what it prints to, twice, and its own connection"


# -- processor


def test_a_worker_gets_the_share_of_the_processor_that_it_may_have_or_stands_behind(shelf: Shelf) -> None:
    body = (
        "    begun, used = time.monotonic(), time.process_time()\n"
        "    while time.monotonic() - begun < 2.5:\n"
        "        pass\n"
        "    return [time.process_time() - used, time.monotonic() - begun, os.nice(0)]\n"
    )
    python(shelf, "burner", body, cpu=0.1)
    shelf.start()
    used, seconds, nice = shelf.answer("burner")
    if has_groups(shelf):
        assert used <= 0.1 * (seconds + 2)  # two periods of a second may be begun
    else:
        assert nice == os.nice(0) + 5


def test_who_used_much_of_the_processor_stands_behind_the_agent_and_who_used_little_beside_it(shelf: Shelf) -> None:
    body = (
        "    import os, pathlib, time\n"
        "    until = time.monotonic() + event\n"
        "    while time.monotonic() < until: pass\n"
        "    lines = [line.split(':', 2) for line in pathlib.Path('/proc/self/cgroup').read_text().splitlines()]\n"
        "    return next(([n, path] for n in ('cpu', '') for _, names, path in lines if n in names.split(',')), None)\n"
    )
    for name in ("seldom", "often", "always"):
        python(shelf, name, body, pool=PoolSpec(0, 4))
    shelf.start()
    if not has_groups(shelf):
        return  # they are behind by their nice value: the test before this one
    seldom = shelf.answer("seldom", 0)
    whole = 1024 if seldom[0] else 1000

    def weights() -> dict[str, int]:
        busy = {name: shelf.answer(name, 0.3) for name in ("often", "always")}
        return {name: weight_of(*place) for name, place in {"seldom": seldom, **busy}.items()}

    wanted = {"seldom": whole, "often": whole // 20, "always": whole // 20}  # two share a tenth of the agent's
    assert eventually(lambda: weights() == wanted, 40), weights()


def weight_of(controller: str, path: str) -> int:
    """Of the group of a worker's function."""
    name = "cpu.shares" if controller else "cpu.weight"
    return int((Path("/sys/fs/cgroup") / controller / path.lstrip("/")).parent.joinpath(name).read_text())


# -- output


def test_a_flood_is_left_out_and_one_line_says_how_much(shelf: Shelf) -> None:
    said: dict[str, bytes] = {}
    shelf.write("flood", "")
    body = "    for _ in range(event): os.write(1, b'all work and no play' * 1000)\n    return event\n"
    python(shelf, "flood", body, isolation="process", pool=ALONE)
    shelf.start()
    shelf.engine.printing.append(lambda name, _worker, text: said.__setitem__(name, said.get(name, b"") + text))
    assert shelf.answer("flood", 300) == 300  # 6 MB
    missing = eventually(lambda: runner_of(shelf).left_out["flood"])
    assert shelf.answer("flood", 0) == 0
    eventually(lambda: b" bytes left out: more than 64 KiB a second; print less]" in said["flood"])
    assert said["flood"].count(b"left out") == 1
    assert f"[{missing} bytes left out".encode() in said["flood"]
    assert missing + said["flood"].count(b"all work and no play") * 20 >= 300 * 20_000 - 20
    assert len(said["flood"]) < BURST + 64 * RATE


def test_a_burst_is_passed_on_whole_and_a_flood_at_the_rate_that_is_allowed() -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    output = Output(read, 0.0)
    passed = 0

    def printed(count: int, now: float) -> int:
        os.write(write, b"x" * count)
        return output.read(now).count(b"x")

    try:
        for _ in range(BURST // 32768):
            passed += printed(32768, 0.0)
        assert passed == BURST
        assert printed(32768, 0.0) == 0
        later = sum(printed(32768, second) for second in range(1, 101))
        assert later == 32768 * 100, "half the rate goes through when the flood is over"
        flood = sum(printed(32768, 101 + tenth / 10) for tenth in range(1000))
        assert RATE * 80 <= flood <= RATE * 100 + BURST
        assert output.left_out == 32768 * 1001 - flood
    finally:
        os.close(read)
        os.close(write)


# -- sizes


def test_an_answer_of_six_mebibytes_is_taken_and_one_byte_more_is_not(shelf: Shelf) -> None:
    python(shelf, "large", "    return 'x' * (event - 2)\n", memory=256 * MiB, retry=ONE)
    python(shelf, "fails", "    raise ValueError('x' * event)\n", memory=256 * MiB, retry=ONE)
    shelf.start()
    taken = shelf.outcome(shelf.send("large", MAX_PAYLOAD))
    assert isinstance(taken, Succeeded)
    assert len(taken.response) == MAX_PAYLOAD
    failed = shelf.failure("large", MAX_PAYLOAD + 1)
    assert (failed.kind, failed.temporary) == ("oversize", False)
    assert failed.reason == "its answer is larger than 6291456 bytes"
    assert shelf.failure("fails", 10).kind == "function-error"
    assert shelf.failure("fails", MAX_PAYLOAD + 100).kind == "oversize"


def test_an_event_of_six_mebibytes_arrives_and_one_byte_more_is_refused(shelf: Shelf) -> None:
    python(shelf, "reader", "    return len(event)\n", memory=256 * MiB, retry=ONE)
    shelf.start()
    around = len(shelf.send("reader", "").event)
    room = MAX_PAYLOAD - around - 1  # its number has a digit more than the first one's, perhaps
    assert shelf.answer("reader", "x" * room) == room
    failed = shelf.failure("reader", "x" * (MAX_PAYLOAD + 1))
    assert failed.kind == "oversize"
    assert "6291456 are allowed" in failed.reason


# -- time


def test_a_timeout_of_twelve_hours_is_twelve_hours(shelf: Shelf) -> None:
    wire = {"source": ".", "command": ["x"], "timeout": "12h"}
    spec, faults = parse_function("kiln", wire, shelf.folder, FunctionSpec(""))
    assert spec is not None, faults
    assert spec.timeout == LONGEST_TIMEOUT == 43_200
    _, faults = parse_function("kiln", wire | {"timeout": "43201s"}, shelf.folder, FunctionSpec(""))
    assert faults
    body = "    return [int(deadline), int(time.time() * 1000)]\n"
    python(shelf, "kiln", body, timeout=spec.timeout)
    path = shelf.folder / "code" / "kiln.py"
    path.write_text(
        path.read_text().replace(
            "    path =", "    deadline = response.getheader('Lambda-Runtime-Deadline-Ms')\n    path ="
        )
    )
    shelf.start()
    deadline, now = shelf.answer("kiln")
    assert 43_200_000 - 60_000 < deadline - now <= 43_200_000


# -- a fresh process for each event


def test_each_event_has_a_fresh_process_in_the_same_place_with_an_empty_folder(shelf: Shelf) -> None:
    body = (
        "    tmp = os.environ['TMPDIR']\n"
        "    found = sorted(os.listdir(tmp))\n"
        "    os.makedirs(tmp + '/deep/er'); open(tmp + '/deep/er/file', 'w').write('x'); os.chmod(tmp + '/deep', 0)\n"
        "    secret = open(os.environ['EDGE_SECRETS'] + '/smtp').read()\n"
        "    left = subprocess.Popen(['/bin/sleep', '1000'], start_new_session=True).pid\n"
        "    return [os.getpid(), found, secret, os.environ['AWS_LAMBDA_RUNTIME_API'], tmp, left]\n"
    )
    (shelf.folder / "secrets" / "smtp").write_text("of smtp")
    python(shelf, "fresh", body, isolation="process", pool=ALONE, secrets=("smtp",))
    shelf.start()
    runs = [shelf.answer("fresh") for _ in range(3)]
    assert len({pid for pid, *_ in runs}) == 3
    assert {(tuple(found), secret) for _, found, secret, *_ in runs} == {(("secrets",), "of smtp")}
    assert len({(address, folder) for _, _, _, address, folder, _ in runs}) == 1, "the place stays"
    for *_, left in runs:
        eventually(lambda: not alive(left))  # noqa: B023 - called at once
    assert shelf.engine.stats.starts["fresh"] == 1


def test_a_process_that_fails_its_event_is_renewed_too(shelf: Shelf) -> None:
    python(
        shelf,
        "fails",
        "    assert event, 'nothing to do'\n    return os.getpid()\n",
        isolation="process",
        retry=ONE,
        pool=ALONE,
    )
    shelf.start()
    assert "nothing to do" in shelf.failure("fails", 0).reason
    assert shelf.answer("fails", 1) != shelf.answer("fails", 2)
    assert shelf.engine.stats.starts["fails"] == 1


# -- secrets


def by_rename(folder: Path, text: str) -> None:
    """As an editor or `ansible.builtin.copy` does it."""
    (folder / "smtp").mkdir(exist_ok=True)
    (folder / "smtp" / "new").write_text(text)
    (folder / "smtp" / "new").rename(folder / "smtp" / "password")


def by_swapped_folder(folder: Path, text: str) -> None:
    """As Kubernetes does it: smtp -> ..data/smtp, ..data -> a folder with a date; only ..data is replaced."""
    dated = folder / f"..{len(list(folder.iterdir()))}"
    (dated / "smtp").mkdir(parents=True)
    (dated / "smtp" / "password").write_text(text)
    (folder / "..next").symlink_to(dated.name)
    (folder / "..next").rename(folder / "..data")
    if not (folder / "smtp").is_symlink():
        (folder / "smtp").symlink_to("..data/smtp")


@pytest.mark.parametrize("rotate", [by_rename, by_swapped_folder])
def test_a_secret_that_is_rotated_is_read_anew_by_the_worker_that_runs(
    shelf: Shelf, rotate: Callable[[Path, str], None]
) -> None:
    body = "    return [os.getpid(), open(os.environ['EDGE_SECRETS'] + '/smtp/password').read()]\n"
    python(shelf, "keeper", body, isolation="shared", pool=ALONE, secrets=("smtp",))
    rotate(shelf.folder / "secrets", "first")
    shelf.start()
    pid, secret = shelf.answer("keeper")
    assert secret == "first"
    for text in ("second", "third"):
        rotate(shelf.folder / "secrets", text)
        assert shelf.answer("keeper") == [pid, text]


# -- the keeper


def test_when_the_process_that_starts_workers_is_killed_every_event_is_answered_all_the_same(shelf: Shelf) -> None:
    shelf.shell("steady", "/bin/busybox usleep 20000; echo 1", isolation="process", pool=PoolSpec(1, 2))
    python(shelf, "stays", "    return 1\n", isolation="shared")
    shelf.start()
    shelf.idle("steady")
    keepers = []
    invocations = []
    for _ in range(2):
        invocations += [shelf.send(name) for name in ("steady", "stays") for _ in range(6)]
        keepers.append(runner_of(shelf).keeper)
        os.kill(keepers[-1], signal.SIGKILL)
        invocations += [shelf.send(name) for name in ("steady", "stays") for _ in range(3)]
        eventually(lambda: runner_of(shelf).keeper != keepers[-1])
    assert {shelf.end(invocation).state for invocation in invocations} == {"answered"}
    eventually(lambda: len(marked(shelf.folder)) <= 8)


@pytest.mark.parametrize("isolation", ["pod", "process", "shared"])
@pytest.mark.parametrize("fails", [False, True], ids=["answers", "fails"])
def test_an_answer_that_came_after_the_process_that_starts_workers_had_died_counts(
    shelf: Shelf, isolation: str, *, fails: bool
) -> None:
    body = "    time.sleep(0.3)\n" + ("    raise ValueError(event)\n" if fails else "    return event\n")
    python(shelf, "late", body, isolation=isolation, retry=ONE, pool=PoolSpec(1, 1))
    shelf.start()
    shelf.idle("late")
    invocation = shelf.send("late", 1)
    eventually(lambda: shelf.engine.status()["late"]["workers"]["busy"])
    shelf.loop.post(lambda: (os.kill(runner_of(shelf).keeper, signal.SIGKILL), time.sleep(1.5)))  # both wait to be read
    outcome = shelf.end(invocation)
    assert outcome.state == ("dead" if fails else "answered"), outcome
    if fails:
        assert outcome.outcome.kind == "function-error", "its own error, not that it was lost"
    assert [shelf.end(shelf.send("late", 2)).state for _ in range(3)] == [outcome.state] * 3


AGENT = """
import sys, time
from pathlib import Path
from edge_agent.domain.function import PoolSpec
from tests.functions.shelf import Shelf
shelf = Shelf(Path(sys.argv[1]))
shelf.shell("slot", "echo 1", isolation="process", pool=PoolSpec(min_idle=3))
shelf.start()
shelf.idle("slot", 3)
shelf.answer("slot")
print("ready", flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("both", [False, True], ids=["agent", "agent-and-keeper"])
def test_an_agent_killed_with_nine_leaves_no_process_no_folder_and_no_group(tmp_path: Path, *, both: bool) -> None:
    """When the keeper is killed with it, the next start finds what is left."""
    agent = subprocess.Popen(
        [sys.executable, "-c", AGENT, str(tmp_path)], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE
    )
    try:
        assert agent.stdout is not None
        assert agent.stdout.readline() == b"ready\n"
        assert len(marked(tmp_path)) >= 3
        if both:
            for child in children_of(agent.pid):
                os.kill(child, signal.SIGSTOP)  # else it would be quicker than we are
                os.kill(child, signal.SIGKILL)
    finally:
        agent.kill()
        agent.wait()
        agent.stdout.close()
    if both:
        Shelf(tmp_path).start().stop()
    eventually(lambda: marked(tmp_path) == [])
    eventually(lambda: groups_of(tmp_path) == [])
    eventually(lambda: not (tmp_path / "workers").exists())


def children_of(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_nothing_is_left_after_many_events_in_the_same_places(shelf: Shelf) -> None:
    shelf.shell("many", "echo 1", isolation="process", pool=PoolSpec(min_idle=2, max_workers=2))
    shelf.shell("fresh", "echo 1", pool=PoolSpec(min_idle=2, max_workers=2))
    shelf.start()
    shelf.idle("many", 2)
    shelf.idle("fresh", 2)
    keeper = runner_of(shelf).keeper

    def held() -> tuple[int, int, int]:
        """Open files of the agent and of the keeper, and groups."""
        groups = sum(len(list(root.iterdir())) for root in groups_of(shelf.folder))
        return len([*Path("/proc/self/fd").iterdir()]), len([*Path(f"/proc/{keeper}/fd").iterdir()]), groups

    def settle(count: int) -> tuple[int, int, int]:
        for invocation in [shelf.send(name) for name in ("many", "fresh") for _ in range(count)]:
            shelf.end(invocation)
        shelf.idle("many", 2)
        shelf.idle("fresh", 2)
        return held()

    before = settle(10)
    assert all(now <= then for now, then in zip(eventually(lambda: settle(40)), before, strict=True))


def test_what_holds_workers_to_their_limits_can_be_read(shelf: Shelf) -> None:
    shelf.start()
    said = eventually(lambda: runner_of(shelf).limits if "memory" in runner_of(shelf).limits else "")
    assert {part.split(":")[0].strip() for part in said.split(";")} >= {"memory", "cpu", "processes"}
    if not has_groups(shelf):
        assert "watched 4 times a second" in said
