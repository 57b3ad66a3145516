"""The whole agent in a process of its own, which answers questions about itself.

    python -m tests.bench.agent DATA_FOLDER MQTT_PORT '{"journal.drain_every": 10}'

Enters, one a line on standard input: `begin`, `count N SECONDS`, `drain`, `merge`, `stats`, `audit`, `sizes`, `stop`; and of a
function `scale NAME N`, `workers NAME`, `send NAME N`.
Leaves: one JSON object a line. It ends when its standard input does, so it never outlives the benchmark.
Everything an appliance runs is in it: web server, metrics (gathered every five seconds, as a scraper would), drains.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import resource
import sqlite3
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from edge_agent.domain.invocation import Invocation
from edge_agent.ports import Entries

SCRAPE_EVERY = 5.0


class Agent:
    """`stamps` are the newest moments a batch left the socket, by (device, seq); `ends` those of answered invocations."""

    def __init__(self, folder: Path, port: int, extra: dict[str, Any]) -> None:
        from edge_agent.settings import load

        wanted = {
            "site": "bench",
            "data.dir": str(folder),
            "mqtt.port": port,
            "functions.runtime_port": 0,
            "web.port": 0,
        }
        settings = load(None, {}, {**wanted, **extra}).settings
        self.web = None
        try:
            from edge_agent.cli.serving import Serving

            self.web = Serving(settings)
            self.appliance = self.web.appliance
        except ImportError:
            from edge_agent.app import Appliance

            self.appliance = Appliance(settings)
        self.parts = self.appliance.parts
        self.stamps: dict[tuple[str, int], float] = {}
        self.ends: deque[tuple[str, str, float, float, float, float]] = deque(maxlen=100_000)

    def begin(self, watched: str = "") -> dict[str, Any]:
        """Start, and connect. `watched`: note when each message came and each invocation ended."""
        if watched:
            self._watch()
        before = _cpu()
        (self.web or self.appliance).start()
        threading.Thread(target=self._scrape, daemon=True).start()
        while not self.parts.broker.connected:
            time.sleep(0.002)
        return {"cpu": before, "connected": time.time()}

    def _watch(self) -> None:
        take, stamps = self.parts.broker._take, self.stamps

        def stamped(batch: Any) -> None:
            now = time.time() * 1000
            for message in batch.messages:
                if b"watched" in message.payload:
                    stamps[message.topic.split("/")[4], json.loads(message.payload)["seq"]] = now
            take(batch)

        def ended(settlement: Any, invocation: Any) -> None:
            attempt = settlement.attempt
            times = (attempt.dispatched, attempt.handed_over, attempt.answered, attempt.init_ms)
            self.ends.append((settlement.id, settlement.state, *times))

        self.parts.broker._take = stamped
        self.parts.engine.listeners.append(ended)

    def _scrape(self) -> None:
        from edge_agent.app import metrics

        while True:
            time.sleep(SCRAPE_EVERY)
            metrics.exposition(self.parts, {}, {})

    def count(self, messages: str, seconds: str, look_every: str = "0.01") -> dict[str, Any]:
        """Wait until this many messages are acknowledged; looking costs what is measured, so look rarely where one can."""
        broker, end = self.parts.broker, time.time() + float(seconds)
        while broker.acknowledged < int(messages) and time.time() < end:
            time.sleep(float(look_every))
        return {"at": time.time(), "acknowledged": broker.acknowledged, "cpu": _cpu()}

    def drain(self) -> dict[str, Any]:
        """Have everything in the history now."""
        self.parts.journal.flush()
        end = time.time() + 60
        while self.parts.journal.backlog()[0] and time.time() < end:
            self.appliance._drain_now.set()
            time.sleep(0.05)
        return self.stats()

    def merge(self) -> dict[str, Any]:
        """Have the history do now what it does every 20,000 samples, so that a short run pays for it too."""
        history = self.parts.history
        with history._writing:
            history._tables.merge()
        self._checkpoint()
        return self.stats()

    def _checkpoint(self) -> None:
        """Write what is only in the logs into the files now: it would be written later, and belongs to these readings."""
        for name in ("journal.db", "history.db"):
            with contextlib.closing(sqlite3.connect(self.parts.settings.data.dir / name, timeout=30)) as db:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def stats(self) -> dict[str, Any]:
        p = self.parts
        return {
            "at": time.time(),
            "cpu": _cpu(),
            "acknowledged": p.broker.acknowledged,
            "samples": p.pipeline.counters.samples,
            "moved": p.drain.moved,
            "commits": p.journal.writer.commits,
            "duplicates": p.pipeline.watermarks.duplicates,
            "rejected": sum(p.pipeline.counters.rejected.values()),
            "dropped": sum(p.pipeline.counters.dropped.values()),
        }

    def audit(self) -> dict[str, Any]:
        """Read back every sample from journal and history: how many there are, and how many distinct ones."""
        p = self.parts
        p.journal.flush()
        found = total = 0
        for device in p.devices.all():
            seen = set()
            for sample in p.history.samples(device.name, 0, 2**62, limit=10_000_000):
                seen.add((sample.boot, sample.seq))
                total += 1
            for _, _, samples in p.journal.every_batch():
                for sample in samples:
                    if sample.device == device.name:
                        seen.add((sample.boot, sample.seq))
                        total += 1
            found += len(seen)
        return {"stored": total, "distinct": found}

    def invocations(self) -> dict[str, Any]:
        """(event id, state, dispatched, handed over, answered, init ms) of what ended; when each watched message came."""
        received = [[device, seq, at] for (device, seq), at in self.stamps.items()]
        return {"ends": list(self.ends), "received": received}

    def ended(self) -> dict[str, Any]:
        return {"count": len(self.ends)}

    def page(self) -> dict[str, Any]:
        """Where the HTTP API is, and a token for it."""
        assert self.web is not None
        return {
            "port": int(self.web.url.rpartition(":")[2]),
            "token": self.web.accounts.create_token("bench", ["admin"]),
        }

    def scale(self, function: str, workers: str) -> dict[str, Any]:
        """Have so many wait."""
        self.parts.engine.scale(function, int(workers))
        return {}

    def workers(self, function: str) -> dict[str, Any]:
        """How many there are, by state."""
        return dict(self.parts.engine.status()[function]["workers"])

    def send(self, function: str, count: str, seconds: str = "120") -> dict[str, Any]:
        """Events for each of its workers, all at once; how many were answered in the time."""
        answered, done = [], threading.Event()

        def heard(settled: Any, _invocation: Any) -> None:
            if settled.function == function and settled.state == "answered":
                answered.append(settled.id)
                if len(answered) == int(count):
                    done.set()

        self.parts.engine.listeners.append(heard)
        now = int(time.time() * 1000)
        events = [Invocation(f"bench/b/{n}/bench", function, b"{}", now) for n in range(int(count))]
        self.parts.journal.commit(Entries(invocations=events), then=lambda: self.parts.engine.submit(events))
        done.wait(float(seconds))
        return {"answered": len(answered)}

    def sizes(self) -> dict[str, Any]:
        """How many objects of each type the garbage collector follows, and which modules are loaded."""
        counts: dict[str, int] = {}
        for thing in gc.get_objects():
            name = f"{type(thing).__module__}.{type(thing).__qualname__}"
            counts[name] = counts.get(name, 0) + 1
        most = sorted(counts.items(), key=lambda item: -item[1])[:25]
        return {"objects": most, "modules": sorted({name.partition(".")[0] for name in sys.modules})}

    def threads(self) -> dict[str, Any]:
        """Seconds on a processor so far, by thread."""
        spent: dict[str, float] = {}
        for thread in threading.enumerate():
            ran = Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text().split()[0]
            spent[thread.name] = spent.get(thread.name, 0.0) + int(ran) / 1e9
        return spent

    def stop(self) -> dict[str, Any]:
        (self.web or self.appliance).stop()
        return {"stopped": True, "cpu": _cpu()}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    folder, port, extra = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
    logging.basicConfig(level=logging.WARNING)
    agent = Agent(folder, port, extra)
    stopped = False
    for line in sys.stdin:
        name, *arguments = line.split()
        print(json.dumps(getattr(agent, name)(*arguments)), flush=True)
        if stopped := name == "stop":
            break
    if not stopped:
        agent.appliance.stop()


if __name__ == "__main__":
    main()
