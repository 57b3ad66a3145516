"""Random kills under load, judged from outside.

Enters: a number of rounds and a seed. Leaves: nothing, or an AssertionError that says what was lost.
What is checked after the last round, with everything running again and all boards' buffers empty:
- every reading that an `ack` covered is in journal or history exactly once, as it was sent;
- every stored reading of a watched device caused its invocation, and each ended answered or dead;
- the alerts are those which the rule implies for the readings in the order the journal has them, computed here anew;
- what is retained on the alert topics is what fires at the end, and nothing else.
"""

from __future__ import annotations

import json
import math
import random
import sqlite3
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
from pymongo import MongoClient

from edge_agent.adapters.board_paho import BoardLinks
from edge_agent.domain.reading import Sample, Value
from edge_agent.domain.topics import Topics
from edge_agent.simulator.board import Board
from edge_agent.simulator.fleet import epoch, new_boot
from edge_agent.simulator.member import Member, uptime
from tests.agent import Agent
from tests.broker import Broker
from tests.flow.test_appliance import SHELL, Lan
from tests.mongo import MongoServer
from tests.waiting import eventually

LOW = 50.0
MANIFESTS = f"""
    apiVersion: edge.internal/v1alpha1
    kind: Rule
    metadata: {{name: low}}
    spec: {{devices: "tank-*", reading: level, below: {LOW}, run: [note]}}
    ---
    apiVersion: edge.internal/v1alpha1
    kind: Rule
    metadata: {{name: each}}
    spec: {{devices: "tank-1", reading: level, every: true, run: [note]}}
    ---
    apiVersion: edge.internal/v1alpha1
    kind: Function
    metadata: {{name: note}}
    spec:
      source: FOLDER
      command: [/bin/busybox, sh, main.sh]
      isolation: shared
      timeout: 10s
      retry: {{attempts: 20}}
      pool: {{minIdle: 1, maxWorkers: 2}}
"""
Key = tuple[str, str, int]


class Sent:
    """What the boards measured, and up to where they were told it is safe."""

    def __init__(self) -> None:
        self.readings: dict[Key, dict[str, Value]] = {}
        self.promised: dict[tuple[str, str], int] = {}

    def measured(self, device: str, boot: str, seq: int, values: dict[str, Value]) -> None:
        self.readings[device, boot, seq] = dict(values)

    def acked(self, device: str, boot: str, seq: int) -> None:
        self.promised[device, boot] = max(seq, self.promised.get((device, boot), 0))

    def safe(self) -> set[Key]:
        return {key for key in self.readings if key[2] <= self.promised.get(key[:2], 0)}


class Boards(threading.Thread):
    """Five boards, twenty readings a second each; the level swings around the rule's limit every three seconds or so."""

    def __init__(self, links: BoardLinks, sent: Sent, seed: int) -> None:
        super().__init__(name="boards", daemon=True)
        self._dice = random.Random(seed)
        self._sent = sent
        self._stopping = threading.Event()
        clock = epoch() - uptime()
        names = [f"tank-{number}" for number in range(1, 6)]
        self._members = [Member(Topics("home"), name, Board(new_boot(), clock=clock)) for name in names]
        for member in self._members:
            member.on_ack = sent.acked
            member.connect(links)

    def run(self) -> None:
        begun = time.monotonic()
        while not self._stopping.wait(0.05):
            for phase, member in enumerate(self._members):
                swing = math.sin((time.monotonic() - begun) * 2 + phase)
                values: dict[str, Value] = {"level": round(LOW + 20 * swing + self._dice.gauss(0, 1), 1)}
                self._sent.measured(member.device, *member.measure(values), values)
                member.tick()

    def stop(self) -> None:
        """Measure no more, and wait until every reading is acked."""
        self._stopping.set()
        self.join()

        def empty() -> bool:
            for member in self._members:
                member.tick()
            return not any(member.pending for member in self._members)

        eventually(empty, timeout=120, every=0.1)
        for member in self._members:
            member.close()

    def stats(self) -> dict[str, int]:
        """Readings sent, and sent again."""
        stats = [member.board.stats for member in self._members]
        assert sum(one.dropped for one in stats) == 0, "a board's buffer overflowed: make the rounds shorter"
        return {"sent": sum(one.sent for one in stats), "resent": sum(one.resent for one in stats)}


def wreck_history(folder: Path, rounds: int, seed: int) -> dict[str, int]:
    """The same with MongoDB as the history, killed too: every promised reading ends there exactly once."""
    dice, sent = random.Random(seed), Sent()
    kills: Counter[str] = Counter()
    with MongoServer(folder / "mongo") as mongo, Broker(extra=["max_queued_messages 0"]) as broker:
        settings = {"history.url": mongo.uri, "journal.drain_every": "300ms", "journal.linger": "100ms"}
        with Agent(folder / "agent", broker.port, settings=settings) as agent:
            links = BoardLinks("127.0.0.1", broker.port)
            boards = Boards(links, sent, seed)
            boards.start()
            for _ in range(rounds):
                time.sleep(dice.uniform(0.3, 1.2))
                victims = dice.choice((["mongo"], ["agent"], ["mongo", "agent"], ["broker"]))
                kills.update(victims)
                for victim in victims:
                    {"mongo": mongo, "agent": agent, "broker": broker}[victim].kill()
                time.sleep(dice.uniform(0.1, 0.8))
                for victim in victims:
                    if victim == "agent":
                        agent.start(wait=False)
                    else:
                        {"mongo": mongo, "broker": broker}[victim].start()
            eventually(agent.ready, timeout=60)
            time.sleep(0.5)
            boards.stop()
            links.close()
            eventually(lambda: agent.get("/status")["journal"]["waiting_for_history"] == 0, timeout=60, every=0.2)
            agent.kill()
        client: MongoClient[dict[str, Any]] = MongoClient(mongo.uri)
        kept = {document["_id"]: document for document in client.get_default_database()["samples"].find({})}
        client.close()
    wanted = {"/".join(map(str, key)) for key in sent.safe()}
    assert len(wanted) > 50
    missing = sorted(wanted - {str(id) for id in kept})
    assert not missing, f"{len(missing)} promised readings are not in the history: {missing[:5]}"
    return {"promised": len(wanted), "kept": len(kept)} | {f"killed_{victim}": n for victim, n in kills.items()}


def wreck(folder: Path, rounds: int, seed: int, *, persistence: bool = False, pause: float = 1.0) -> dict[str, int]:
    """`rounds` random kills of agent, broker or both while boards publish; what was seen, after everything was checked."""
    dice = random.Random(seed)
    function = folder / "note"
    function.mkdir(parents=True)
    (function / "main.sh").write_text("while :; do\n" + "\n".join(s.strip() for s in SHELL.splitlines()) + "\ndone\n")
    settings = {"journal.drain_every": "1h", "journal.linger": "200ms"}
    manifests = MANIFESTS.replace("FOLDER", str(function))
    sent = Sent()
    with (
        Broker(persistence=persistence) as broker,
        Agent(folder, broker.port, manifests=manifests, settings=settings) as agent,
    ):
        links = BoardLinks("127.0.0.1", broker.port)
        boards = Boards(links, sent, seed)
        boards.start()
        kills: Counter[str] = Counter()
        for _ in range(rounds):
            time.sleep(dice.uniform(0.2, pause))
            victim = dice.choice(("agent", "broker", "both", "database"))
            kills[victim] += 1
            if victim != "agent":
                broker.kill()
            if victim in ("agent", "both"):
                agent.kill()
            if victim == "database":
                spoil(broker, dice)
            time.sleep(dice.uniform(0.0, 0.5))
            if victim != "agent":
                broker.start()
            if victim in ("agent", "both"):
                agent.start(wait=False)
        eventually(agent.ready, timeout=60)
        time.sleep(0.5)
        boards.stop()
        links.close()
        settle(agent)
        retained = kept(broker.port)
        firing = {alert["device"] for alert in agent.get("/alerts", state="firing")["items"]}
        agent.kill()  # a goodbye would move the journal's readings on
        seen = judge(agent.data, sent, retained, firing)
        return seen | {f"killed_{victim}": count for victim, count in kills.items()} | boards.stats()


def spoil(broker: Broker, dice: random.Random) -> None:
    """Overwrite a piece of the broker's own database, where it has one."""
    for database in broker.folder.rglob("mosquitto.db"):
        body = bytearray(database.read_bytes())
        if len(body) > 64:
            begin = dice.randrange(len(body) - 32)
            body[begin : begin + 32] = bytes(32)
            database.with_name("mosquitto.db.spoilt").write_bytes(body)
            database.unlink()


def settle(agent: Agent) -> None:
    """Wait until no invocation is pending any more."""
    eventually(lambda: agent.get("/invocations", state="pending", limit=1)["items"] == [], timeout=120, every=0.2)


def kept(port: int) -> set[str]:
    """The devices with a retained alert of the rule, told to somebody who comes only now."""
    late = Lan(port)
    time.sleep(1.0)
    prefix = f"{late.topics.base}/alerts/low/"
    found = {topic.removeprefix(prefix) for topic, payload in late.heard if topic.startswith(prefix) and payload}
    late.close()
    return found


def journal(data: Path) -> tuple[list[Sample], list[dict[str, Any]], list[dict[str, Any]]]:
    """Samples in the order of their commits, invocations, alerts: read from the file, not through the agent."""
    db = sqlite3.connect(data / "journal.db")
    db.row_factory = sqlite3.Row
    decode = msgspec.msgpack.Decoder(list[Sample]).decode
    samples = [sample for row in db.execute("SELECT body FROM batch ORDER BY id") for sample in decode(row["body"])]
    invocations = [dict(row) for row in db.execute("SELECT id, function, state FROM invocation")]
    alerts = [dict(row) for row in db.execute("SELECT id, state, late FROM alert")]
    db.close()
    return samples, invocations, alerts


def implied(samples: list[Sample]) -> tuple[set[str], set[str]]:
    """Ids of the episodes the rule `below` makes of these samples, and of those that are over at the end.

    Written from the documented semantics: readings older than the last one judged are not judged.
    """
    last: dict[str, int] = {}
    on: dict[str, str] = {}
    begun, over = set(), set()
    for sample in samples:
        level, device = sample.values.get("level"), sample.device
        if level is None or sample.t < last.get(device, 0):
            continue
        last[device] = sample.t
        if level < LOW and device not in on:  # type: ignore[operator]
            on[device] = f"{sample.id}/low"
            begun.add(on[device])
        elif level >= LOW and device in on:  # type: ignore[operator]
            over.add(on.pop(device))
    return begun, over


def judge(data: Path, sent: Sent, retained: set[str], firing: set[str]) -> dict[str, int]:
    samples, invocations, alerts = journal(data)
    stored = Counter((sample.device, sample.boot, sample.seq) for sample in samples)
    twice = [key for key, count in stored.items() if count > 1]
    assert not twice, f"stored more than once: {twice[:5]}"
    lost = sorted(sent.safe() - stored.keys())
    assert not lost, f"{len(lost)} readings were promised and are lost: {lost[:5]}"
    by_key = {(sample.device, sample.boot, sample.seq): sample.values for sample in samples}
    changed = [key for key in sent.safe() if by_key[key] != sent.readings[key]]
    assert not changed, f"stored otherwise than sent: {changed[:5]}"

    begun, over = implied(samples)
    told = {alert["id"]: alert["state"] for alert in alerts if alert["id"].endswith("/low")}
    assert set(told) == begun, f"missing {sorted(begun - set(told))[:5]}, not implied {sorted(set(told) - begun)[:5]}"
    assert {id for id, state in told.items() if state == "resolved"} == over
    assert retained == {id.partition("/")[0] for id in begun - over} == firing

    wanted = begun | {
        f"{sample.id}/each" for sample in samples if sample.device == "tank-1" and "level" in sample.values
    }
    ended = {invocation["id"]: invocation["state"] for invocation in invocations}
    assert set(ended) == wanted, f"missing {sorted(wanted - set(ended))[:5]}, extra {sorted(set(ended) - wanted)[:5]}"
    unended = [id for id, state in ended.items() if state not in ("answered", "dead")]
    assert not unended, f"not ended: {unended[:5]}"
    assert len(sent.safe()) > 50
    return {"stored": len(samples), "promised": len(sent.safe()), "episodes": len(begun), "invocations": len(ended)}


def dump(seen: dict[str, int]) -> str:
    return json.dumps(seen, sort_keys=True)
