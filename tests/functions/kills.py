"""Random kills of workers and of the whole agent while events flow, judged from outside.

Enters: a number of kills and a seed. Leaves: what was counted, or an AssertionError that says what went wrong.
What is checked at the end, from the journal's file and from the notes that the functions left:
- every event the agent said it had taken is recorded, and every recorded one has ended, once: answered, or dead;
- no event left more notes than it had attempts, no attempt more than one, and none had more attempts than allowed;
- what was answered had been worked on, and what always fails is a dead letter;
- the ordered function saw the events of each device in the order they were recorded.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import sqlite3
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import msgspec

from tests.agent import Agent
from tests.broker import Broker
from tests.waiting import eventually

ATTEMPTS = 3
KINDS = {"ordered": "shared", "many": "shared", "fresh": "pod", "renewed": "process"}
"""The functions, and their isolation."""
DEVICES = 4
FAILS = 17
"""Every so manieth event of a device fails at each attempt."""

WORKER = """\
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
while :; do
    answer=$(/bin/busybox wget -qS -O - "$api/next" 2>&1) || exit 1
    request=${answer#*Request-Id: }; request=${request%%[!0-9a-f-]*}
    event=${answer#*'"id":"'}; event=${event%%'"'*}
    echo "$event $request" >> "$NOTES/$AWS_LAMBDA_FUNCTION_NAME"
    /bin/busybox usleep 5000
    case $event in
        *dies) exit 1 ;;
        *fails) /bin/busybox wget -q -O /dev/null --post-data '{"errorMessage":"never"}' "$api/$request/error" ;;
        *) /bin/busybox wget -q -O /dev/null --post-data '{}' "$api/$request/response" ;;
    esac || exit 1
    [ "$MANY" ] || exit 0
done
"""


def manifests(code: Path, notes: Path) -> str:
    return "---\n".join(
        f"""\
apiVersion: edge.internal/v1alpha1
kind: Function
metadata: {{name: {name}}}
spec:
  source: {code}
  command: [/bin/busybox, sh, main.sh]
  isolation: {isolation}
  ordered: {str(name == "ordered").lower()}
  timeout: 20s
  cpu: "2"
  env: {{NOTES: {notes}, MANY: "{"yes" if isolation == "shared" else ""}"}}
  retry: {{attempts: {ATTEMPTS}}}
  pool: {{minIdle: 1, maxWorkers: 3}}
"""
        for name, isolation in KINDS.items()
    )


class Feeder(threading.Thread):
    """One device of one function: one event after the other, and which of them the agent said it had taken."""

    def __init__(self, agent: Agent, function: str, device: str, pause: float) -> None:
        super().__init__(name=f"{function}-{device}", daemon=True)
        self.taken: list[str] = []
        self._agent = agent
        self._function = function
        self._device = device
        self._pause = pause
        self._stopping = threading.Event()

    def run(self) -> None:
        number = 0
        while not self._stopping.wait(self._pause):
            number += 1
            end = "/fails" if number % FAILS == 0 else ""
            id = f"{self._device}/{number}{end}"
            event = {
                "specversion": "1.0", "id": id, "source": "/edge/test", "type": "test",
                "data": {"device": self._device, "number": number},
            }  # fmt: skip
            with contextlib.suppress(
                OSError, http.client.HTTPException
            ):  # it was killed: who knows what it had recorded
                if _post(self._agent.data / "agent.sock", self._function, event) == 202:
                    self.taken.append(id)

    def stop(self) -> None:
        self._stopping.set()
        self.join()


def _post(path: Path, function: str, event: Any) -> int:
    connection = http.client.HTTPConnection("localhost", timeout=20)
    with contextlib.closing(connection):
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(20)
        connection.sock.connect(str(path))
        headers = {"Content-Type": "application/json", "Prefer": "respond-async"}
        connection.request("POST", f"/api/v1/functions/{function}/invocations", msgspec.json.encode(event), headers)
        return connection.getresponse().status


def wreck(folder: Path, kills: int, seed: int) -> dict[str, int]:
    """`kills` random kills under load, one in eight of the whole agent; what was seen, after everything was checked."""
    dice = random.Random(seed)
    code, notes = folder / "code", folder / "notes"
    code.mkdir()
    notes.mkdir()
    (code / "main.sh").write_text(WORKER)
    killed: Counter[str] = Counter()
    with (
        Broker() as broker,
        Agent(folder / "agent", broker.port, manifests=manifests(code, notes)) as agent,
    ):
        record = Record(agent.data / "journal.db")
        feeders = [Feeder(agent, name, f"d{number}", 0.1) for name in KINDS for number in range(DEVICES)]
        for feeder in feeders:
            feeder.start()
        for _ in range(kills):
            time.sleep(dice.uniform(0.02, 0.3))
            if dice.random() < 1 / 8:
                killed["agent"] += 1
                agent.kill()
                record.read()
                agent.start()
            else:
                killed["worker"] += eventually(lambda: kill_one(str(notes), dice), timeout=60)
        for feeder in feeders:
            feeder.stop()
        eventually(lambda: agent.get("/invocations", state="pending", limit=1)["items"] == [], timeout=180, every=0.2)
        agent.kill()  # no goodbye: what counts is what is on disk
        eventually(lambda: not workers(str(notes)), timeout=30)
        record.read()
        taken = {(feeder._function, id) for feeder in feeders for id in feeder.taken}
        return judge(record.rows, notes, taken) | {f"killed_{who}": n for who, n in killed.items()}


def workers(mark: str) -> list[int]:
    """Processes that have `mark` in their environment: workers and what they started."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and f"NOTES={mark}".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def kill_one(mark: str, dice: random.Random) -> int:
    """SIGKILL one of the workers or their children; how many were hit."""
    found = sorted(workers(mark))
    if not found:
        return 0
    with contextlib.suppress(ProcessLookupError):
        os.kill(dice.choice(found), signal.SIGKILL)
        return 1
    return 0


Key = tuple[str, str]
"""(function, id of the event)."""


class Record:
    """What the journal's file has said so far: it lets go of what has long been answered."""

    def __init__(self, path: Path) -> None:
        self.rows: dict[Key, dict[str, Any]] = {}
        self._path = path

    def read(self) -> None:
        """Look again; what had ended must be as it was, what had not must be there."""
        with contextlib.closing(sqlite3.connect(self._path)) as db:
            db.row_factory = sqlite3.Row
            rows = [dict(row) for row in db.execute("SELECT * FROM invocation ORDER BY rowid")]
        now = {(row["function"], json.loads(row["event"])["id"]): row for row in rows}
        assert len(now) == len(rows), "an event was recorded twice"
        for key, before in self.rows.items():
            after = now.get(key)
            assert before["ended"] is None or after is None or after == before, f"{key} ended a second time"
            assert before["ended"] is not None or after is not None, f"{key} has vanished"
        self.rows |= now


def judge(recorded: dict[Key, dict[str, Any]], notes: Path, taken: set[Key]) -> dict[str, int]:
    lost = sorted(taken - recorded.keys())
    assert not lost, f"{len(lost)} events were taken and are not recorded: {lost[:5]}"
    unended = [key for key, row in recorded.items() if row["state"] not in ("answered", "dead") or not row["ended"]]
    assert not unended, f"not ended: {unended[:5]}"

    left: dict[Key, list[str]] = defaultdict(list)
    for name in KINDS:
        lines = (notes / name).read_text().split("\n") if (notes / name).exists() else []
        for line in lines[:-1]:
            event, request = line.split()
            left[name, event].append(request)
    assert not left.keys() - recorded.keys(), "something was run that is not recorded"
    for key, row in recorded.items():
        requests = left[key]
        assert row["attempts"] <= ATTEMPTS, (key, row)
        assert len(requests) <= row["attempts"], f"{key} was run {len(requests)} times in {row['attempts']} attempts"
        assert len(set(requests)) == len(requests), f"an attempt of {key} was run twice"
        phases = json.loads(row["phases"])
        assert len(phases) <= row["attempts"], (key, row)
        if row["state"] == "answered":
            assert not key[1].endswith("fails"), f"{key} cannot have been answered"
            assert phases[-1]["request_id"] in requests, f"{key} was answered by nobody"
    in_order(notes / "ordered")
    rows = recorded.values()
    states = Counter(row["state"] for row in rows)
    return {
        "recorded": len(rows), "answered": states["answered"], "dead": states["dead"], "taken": len(taken),
        "runs": sum(map(len, left.values())), "interrupted": sum(1 for row in rows if row["kind"] == "interrupted"),
    }  # fmt: skip


def in_order(notes: Path) -> None:
    last: dict[str, int] = defaultdict(int)
    for line in notes.read_text().splitlines():
        device, number = line.split()[0].split("/")[:2]
        assert int(number) >= last[device], f"{device}: {number} came after {last[device]}"
        last[device] = int(number)
