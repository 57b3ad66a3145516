"""Random kills of cluster, agent and pods while readings and events flow, judged from outside.

Enters: a number of kills and a seed. Leaves: what was counted, or an AssertionError that says what went wrong.
What is checked at the end:
- every reading the agent said it had taken is in the history, once;
- every event it said it had taken is recorded, and every recorded one has ended, once, in no more attempts than allowed;
- no pod is left, and nothing of one in containerd and the kernel.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from tests.agent import Agent
from tests.broker import Broker
from tests.functions.kills import Record
from tests.kubernetes.ground import ASK, IMAGE, PODS, SERVE, Ground
from tests.waiting import eventually

ATTEMPTS = 100
"""A chaos of minutes must not use them up: what is proved is that no event is lost, not that it gives up."""
KINDS = {"many": "shared", "fresh": "pod", "renewed": "process"}
PARTS = ("kine", "apiserver", "controller-manager", "scheduler")


def manifests() -> str:
    script = (ASK + SERVE.replace("@WORK@", "usleep 20000")).replace("\n", "\n        ")
    return "---\n".join(
        f"""\
apiVersion: edge.internal/v1alpha1
kind: Function
metadata: {{name: {name}}}
spec:
  image: {IMAGE}
  command: [/bin/busybox, sh, -c]
  args:
    - |
        {script}
  isolation: {isolation}
  timeout: 20s
  memory: 32Mi
  env: {{MANY: "{"yes" if isolation == "shared" else ""}"}}
  retry: {{attempts: {ATTEMPTS}}}
  pool: {{minIdle: 1, maxWorkers: 3}}
"""
        for name, isolation in KINDS.items()
    )


class Feeder(threading.Thread):
    """One board or caller: one thing after the other, and which of them the agent said it had taken."""

    def __init__(self, agent: Agent, what: str, pause: float) -> None:
        super().__init__(name=what, daemon=True)
        self.what = what
        self.taken: list[int] = []
        self._agent = agent
        self._pause = pause
        self._stopping = threading.Event()

    def run(self) -> None:
        number = 0
        while not self._stopping.wait(self._pause):
            number += 1
            with contextlib.suppress(httpx.TransportError):  # it was killed: who knows what it had recorded
                if self._send(number) == 202:
                    self.taken.append(number)

    def _send(self, number: int) -> int:
        if self.what in KINDS:
            event = {"specversion": "1.0", "id": f"{number}", "source": "/edge/test", "type": "test", "data": number}
            answer = self._agent.post(f"/functions/{self.what}/invocations", event, Prefer="respond-async")
            return answer.status_code
        reading = {"boot": "chaos", "seq": number, "t": int(time.time() * 1000), "readings": {"n": number}}
        return self._agent.post(f"/devices/{self.what}/readings", reading).status_code

    def stop(self) -> None:
        self._stopping.set()
        self.join()


def wreck(ground: Ground, folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """`kills` random kills under load; what was seen, after everything was checked."""
    assert ground.cluster.programs  # what cannot be killed is not begun
    dice = random.Random(seed)
    killed: Counter[str] = Counter()
    with (
        Broker() as broker,
        Agent(folder / "agent", broker.port, manifests=manifests(), settings=ground.settings()) as agent,
    ):
        record = Record(agent.data / "journal.db")
        feeders = [Feeder(agent, what, 0.3) for what in (*KINDS, "board-1")]
        for feeder in feeders:
            feeder.start()
        for _ in range(kills):
            time.sleep(dice.uniform(0.5, 2.0))
            killed[kill(ground, agent, record, dice)] += 1
        for feeder in feeders:
            feeder.stop()
        eventually(lambda: agent.get("/invocations", state="pending", limit=1)["items"] == [], timeout=300, every=0.5)
        (board,) = [feeder for feeder in feeders if feeder.what == "board-1"]
        eventually(lambda: set(board.taken) <= set(stored(agent)), timeout=60, every=0.5)
        readings = stored(agent)
        assert len(readings) == len(set(readings)), "a reading is there twice"
        agent.stop()
        record.read()
    taken = {(feeder.what, str(number)) for feeder in feeders if feeder is not board for number in feeder.taken}
    states = judge(record.rows, taken)
    eventually(lambda: not ground.cluster.control.get(PODS)["items"], timeout=60, every=0.2)
    eventually(lambda: tidy(ground), timeout=180, every=1.0)
    return states | {"readings": len(readings)} | {f"killed {what}": n for what, n in killed.items()}


def tidy(ground: Ground) -> bool:
    """Nothing of a pod is left on any node; an AssertionError says what is. Shims are not counted: containerd, killed while it
    starts one, forgets it, and no agent can know."""
    found = {node.name: replace(node.remains(), shims=0) for node in ground.cluster.nodes}
    left = {name: remains for name, remains in found.items() if remains}
    assert not left, f"{left}"
    return True


def kill(ground: Ground, agent: Agent, record: Record, dice: random.Random) -> str:
    """End one thing with SIGKILL, and start it again where nobody else does."""
    node = dice.choice(ground.cluster.nodes)
    what = dice.choice(["agent", "pod", "pod", "pod", *PARTS, "kubelet", "containerd"])
    if what == "agent":
        agent.kill()
        record.read()
        agent.start()
    elif what == "pod":
        tasks = [line.split()[0] for line in node.ctr("tasks", "ls").splitlines()[1:] if "RUNNING" in line]
        if tasks:
            with contextlib.suppress(Exception):  # it may have ended since
                node.ctr("tasks", "kill", "--signal", "SIGKILL", dice.choice(tasks))
    else:
        program = ground.cluster.programs[what if what in PARTS else f"{what}/{node.name}"]
        program.kill()
        time.sleep(dice.uniform(0.0, 1.0))
        program.start(wait=what != "kine")
    return what


def stored(agent: Agent) -> list[int]:
    """The numbers of the readings that are in the history."""
    found = agent.get("/devices/board-1/readings", reading="n", since=0, limit=100_000)
    return [int(point["value"]) for point in found["items"]]


def judge(rows: dict[tuple[str, str], dict[str, Any]], taken: set[tuple[str, str]]) -> dict[str, Any]:
    lost = sorted(taken - rows.keys())
    assert not lost, f"{len(lost)} events were taken and are not recorded: {lost[:5]}"
    unended = [key for key, row in rows.items() if row["state"] not in ("answered", "dead") or not row["ended"]]
    assert not unended, f"not ended: {unended[:5]}"
    assert all(row["attempts"] <= ATTEMPTS for row in rows.values())
    states = Counter(row["state"] for row in rows.values())
    dead = [(row["function"], row["reason"]) for row in rows.values() if row["state"] == "dead"]
    assert not dead, dead[:3]
    return {
        "events": len(rows),
        "answered": states["answered"],
        "attempts": sum(row["attempts"] for row in rows.values()),
    }
