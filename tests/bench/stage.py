"""What every benchmark is played on: a real broker, the agent in a process of its own, publishers, rules, clean endings.

Guarantee: `Stage` ends every process it started, whatever happens; the children leave by themselves when their standard input
ends, so that even a driver that was killed leaves none of them behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from tests.broker import Broker

ROOT = Path(__file__).parents[2]
UNBOUNDED = ("set_tcp_nodelay true", "max_queued_messages 0", "max_inflight_messages 0")
"""The broker must not be what ends a benchmark."""
TICK = os.sysconf("SC_CLK_TCK")


_running: set[subprocess.Popen[str]] = set()


def end_all() -> None:
    """Kill every child there is, from any thread; whoever waits for one sees it end, and cleans up."""
    for process in list(_running):
        process.kill()


class Child:
    """A process that is asked with a line and answers with a line of JSON."""

    def __init__(self, *command: str, env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
            env={**os.environ, **(env or {})},
        )  # fmt: skip
        self.pid = self.process.pid
        _running.add(self.process)

    def line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args!r} ended with {self.process.wait()}")
        return line.strip()

    def tell(self, *words: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def ask(self, *words: object) -> dict[str, Any]:
        self.tell(*words)
        answer: dict[str, Any] = json.loads(self.line())
        return answer

    def end(self) -> None:
        """Close its standard input, and wait a little before a kill."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        _running.discard(self.process)


class Stage:
    """`with Stage() as stage: stage.agent(); stage.flood(1000)`: one broker, one data folder, any number of processes."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="bench-", dir="/var/tmp"))
        self._children: list[Child] = []
        self.broker = Broker(extra=UNBOUNDED)

    def __enter__(self) -> Stage:
        self.folder.mkdir(exist_ok=True)
        self.broker.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for child in reversed(self._children):
            child.end()
        self.broker.__exit__(kind, error, at)
        shutil.rmtree(self.folder, ignore_errors=True)

    def child(self, *command: str, env: dict[str, str] | None = None) -> Child:
        child = Child(*command, env=env)
        self._children.append(child)
        return child

    def python(self, module: str, *arguments: object) -> Child:
        return self.child(sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments))

    def agent(self, settings: dict[str, Any] | None = None) -> Child:
        """The agent, built and not yet started: `ask("begin")`."""
        return self.python("agent", self.folder, self.broker.port, json.dumps(settings or {}))

    def publisher(self, messages: int, **options: object) -> Child:
        """A flood that waits for `tell()`; its JSON line comes when the broker has acknowledged everything."""
        arguments: list[object] = ["--port", self.broker.port, "--messages", messages]
        for name, value in options.items():
            arguments += [f"--{name}"] if value is True else [f"--{name}", value]
        flood = self.python("flood", *arguments)
        flood.line()
        return flood

    def flood(self, messages: int, **options: object) -> dict[str, Any]:
        """Publish now, and wait for the broker's last acknowledgement."""
        flood = self.publisher(messages, **options)
        return flood.ask()

    def manifests(self, documents: Sequence[dict[str, Any]]) -> None:
        folder = self.folder / "manifests"
        folder.mkdir(exist_ok=True)
        (folder / "bench.yaml").write_text(yaml.safe_dump_all(documents))


def manifest(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "edge.internal/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def hundred_rules() -> list[dict[str, Any]]:
    """100 rules. Two of them concern each of the 20 boards that publish; the others watch other boards or readings."""
    rules = []
    for number in range(100):
        own = number < 40
        devices = f"tank-{number // 2}" if own else f"other-{number}"
        above = {"above": 1000 + number} if number % 2 else {"below": -number - 1}
        rules.append(manifest("Rule", f"rule-{number}", devices=devices, reading="level", **above))
    return rules


def cpu_of(pid: int) -> float:
    """Seconds of processor time, user and system, of all threads (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def io_of(pid: int) -> dict[str, int]:
    """`write_bytes` and the rest of /proc/<pid>/io."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return {name: int(value) for name, _, value in (line.partition(":") for line in lines)}


def memory_of(pid: int) -> dict[str, int]:
    """Bytes: `rss`, `pss` (shared pages divided by who shares them), `uss` (this process's alone)."""
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value, *_ = line.split()
        found[name.rstrip(":")] = int(value) * 1024
    return {"rss": found["Rss"], "pss": found["Pss"], "uss": found["Private_Clean"] + found["Private_Dirty"]}
