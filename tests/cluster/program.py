"""A program of the cluster (kubelet, containerd, API server ...) that tests may kill, freeze and start again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.cluster.machine import Machine, child_of
from tests.waiting import eventually


class Program:
    """`argv` is what it is started with, each time; `log` gets what it prints. `name` is upstream's name."""

    def __init__(self, name: str, machine: Machine, argv: Sequence[str | Path], log: Path) -> None:
        self.name, self.machine, self.argv, self.log = name, machine, list(argv), log
        self.environment: dict[str, str] = {}
        self.ready: Callable[[], None] = lambda: None
        """Waits until it serves; set by whoever knows how to ask."""
        self._outer: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._outer is not None and self._outer.poll() is None

    @property
    def pid(self) -> int:
        """The host's id of the process itself; 0 when it does not run."""
        if self._outer is None or self._outer.poll() is not None:
            return 0
        return child_of(self._outer.pid)

    def start(self, wait: bool = True) -> None:
        """Start it, unless it runs; `wait` until it serves."""
        if not self.running:
            self._outer = self.machine.start(self.argv, self.log, self.environment)
        if wait:
            self.ready()

    def kill(self, signum: int = signal.SIGKILL) -> None:
        """End it, by default with SIGKILL, and wait until it is gone. What it started (shims, containers) lives on."""
        if self._outer is None:
            return
        pid = self.pid
        if pid:
            os.kill(pid, signal.SIGCONT)
            os.kill(pid, signum)
        self._outer.send_signal(signal.SIGCONT)  # nsenter stops itself while its child is stopped
        self._outer.wait(60)
        self._outer = None

    def restart(self, wait: bool = True) -> None:
        """SIGKILL, then start."""
        self.kill()
        self.start(wait)

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        assert self._outer is not None
        os.kill(self.pid, signal.SIGSTOP)
        outer = self._outer.pid  # it stops itself, a moment later: a thaw before that would leave it stopped for ever
        eventually(lambda: state(outer) == "T", timeout=20)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._outer is not None
        os.kill(self.pid, signal.SIGCONT)
        self._outer.send_signal(signal.SIGCONT)

    def lost(self) -> None:
        """Its machine went off, and it with it."""
        if self._outer is not None:
            self._outer.wait(20)
            self._outer = None

    def tail(self, lines: int = 15) -> str:
        """The end of its log, for error messages."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


def state(pid: int) -> str:
    """One letter (proc_pid_stat(5), field 3): R running, S sleeping, T stopped, Z ended but not waited for."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
