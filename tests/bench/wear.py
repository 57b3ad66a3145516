"""Bytes written to the block device per reading, at 1, 10 and 1,000 readings a second, and for one commit per reading.

SD cards die of writes. Each contestant has a file system of its own on a loop device, so that the device's own counter tells
all: databases, their logs, checkpoints, the file system's journal. A run has two whole drain cycles at the default settings
(`journal.drain_every` 300 s; the quick one has six of 10 s, which costs more), and before the last count the history does what
it does every 20,000 samples, so that a short run pays its share, and more than its share, of that too.
"""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import Any

from tests.bench import disk
from tests.bench.figures import Figure
from tests.bench.stage import Child, Stage, hundred_rules, io_of

RATES = (1, 10, 1000)
PAYLOAD = 75
NAIVE_MOST = 10_000
"""Readings of a run of the naive one; it falls behind 1,000 a second, and its bytes per reading do not depend on how many."""


def run(quick: bool = False) -> dict[str, Any]:
    """`{"agent"|"naive": {rate: {"device", "process": bytes per reading, "readings"}}, "seconds", "own_device"}`."""
    seconds = 60.0 if quick else 600.0
    settings = {"journal.drain_every": 10.0} if quick else {}
    own = disk.available()
    runs = [_Run(kind, rate, seconds, settings, own) for rate in RATES for kind in ("agent", "naive")]
    for each in runs:
        each.start()
    for each in runs:
        each.join()
    found: dict[str, Any] = {"agent": {}, "naive": {}, "seconds": seconds, "own_device": own}
    for each in runs:
        if each.trouble is not None:
            raise RuntimeError(f"{each.kind} at {each.rate} readings a second: {each.trouble}") from each.trouble
        found[each.kind][str(each.rate)] = each.result
    return found


def figures(result: dict[str, Any]) -> list[Figure]:
    measure = "device" if result["own_device"] else "process"
    told = "of the block device" if result["own_device"] else "as the kernel charges the process"
    found = []
    for rate in RATES:
        mine, naive = (result[kind][str(rate)][measure] for kind in ("agent", "naive"))
        detail = f"{told}; one commit per reading: {naive:,.0f} bytes, {naive / PAYLOAD:,.0f} times the payload"
        found.append(Figure(f"bytes written per reading, {rate:,} a second", mine, "bytes", detail=detail))
        bounds = {"must": 0.2, "aim": 0.05} if rate == 10 else {}
        found.append(
            Figure("... share of one commit per reading", mine / naive, "x", **bounds, detail=f"1/{naive / mine:.0f}")
        )
    return found


class _Run(threading.Thread):
    """One contestant at one rate; they run side by side, for each waits nearly all the time."""

    def __init__(self, kind: str, rate: int, seconds: float, settings: dict[str, Any], own: bool) -> None:
        super().__init__(daemon=True)
        self.kind, self.rate = kind, rate
        self._seconds, self._settings, self._own = seconds, settings, own
        self.result: dict[str, float] = {}
        self.trouble: Exception | None = None

    def run(self) -> None:
        try:
            with contextlib.ExitStack() as stack:
                own = stack.enter_context(disk.Disk()) if self._own else None
                self.result = self._measure(own)
        except Exception as trouble:  # noqa: BLE001 - told by `run`
            self.trouble = trouble

    def _measure(self, own: disk.Disk | None) -> dict[str, float]:
        folder = own.folder / "data" if own else None
        with Stage(folder) as stage:
            stage.manifests(hundred_rules())
            store = self._store(stage)
            store.ask("begin")
            readings = int(self.rate * self._seconds)
            if self.kind == "naive":
                readings = min(readings, NAIVE_MOST)
            publisher = stage.publisher(readings, rate=self.rate, chunk=1)
            time.sleep(3.0)
            device, process = own.written if own else 0, io_of(store.pid)["write_bytes"]
            publisher.tell()
            store.ask("count", readings, self._seconds + 120, 1)
            if self.kind == "agent":
                store.ask("drain")
                store.ask("merge")
            else:
                store.ask("settle")
            process = io_of(store.pid)["write_bytes"] - process
            device = own.written - device if own else 0
            found = store.ask("audit")
            if found != {"stored": readings, "distinct": readings}:
                raise RuntimeError(f"{found} of {readings}")
            return {"device": device / readings, "process": process / readings, "readings": readings}

    def _store(self, stage: Stage) -> Child:
        if self.kind == "agent":
            return stage.agent(self._settings)
        Path(stage.folder).mkdir(exist_ok=True)
        return stage.python("naive", stage.folder, stage.broker.port)
