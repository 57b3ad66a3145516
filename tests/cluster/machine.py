"""A machine in namespaces: processes, mounts, cgroups, name, and (for a node) network of its own.

It ends with whoever holds it, even when that is killed: process 1 in there waits on a pipe that only we hold open.
`cut` is a power cut: everything in it stops at one instant; what is on its disk (`state`) stays.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from tests.cluster.cgroups import Group
from tests.cluster.needs import SYSTEM

BOOT = Path(__file__).parent / "machine.sh"
ENTER = 'while [ "$1" != -- ]; do echo $$ >"$1"; shift; done; shift; exec "$@"'
"""Shell: go into the control groups named first, then become what is named after `--`."""


class Machine:
    """`state` holds its /var/lib, /var/log and /opt. `namespace` is the name of its network; None: it shares the host's."""

    def __init__(self, name: str, state: Path, group: Group, namespace: str | None) -> None:
        self.name, self.state, self.group, self.namespace = name, state, group, namespace
        self._outer: subprocess.Popen[str] | None = None
        self.init = 0
        """The host's id of process 1; 0 while it is off."""

    @property
    def on(self) -> bool:
        return self._outer is not None and self._outer.poll() is None

    def boot(self) -> None:
        """Returns when it can be entered."""
        self.state.mkdir(parents=True, exist_ok=True)
        self.group.make()
        network = [] if self.namespace is None else ["nsenter", f"--net=/run/netns/{self.namespace}"]
        new = ["--fork", "--kill-child", "--pid", "--mount", "--uts", "--ipc", "--cgroup", "--propagation", "private"]
        trees = [f"{tree.mount}={tree.options}" for tree in self.group.trees]
        has_network = "own" if network else "shared"
        command = [*network, "unshare", *new, "sh", str(BOOT), str(self.state), self.name, has_network, *trees]
        with (self.state / "boot.log").open("w") as log:
            self._outer = subprocess.Popen(
                ["sh", "-c", ENTER, "enter", *self.group.doors(settled=False), "--", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd="/",
                start_new_session=True,
            )
        assert self._outer.stdout is not None
        if self._outer.stdout.readline() != "ready\n":
            self._outer.wait()
            raise RuntimeError(f"{self.name} does not boot: {(self.state / 'boot.log').read_text().strip()}")
        self._outer.stdout.close()
        self.init = child_of(self._outer.pid)
        self.group.settle()

    def inside(self, argv: Sequence[str | Path]) -> list[str]:
        """The command that runs `argv` in here, as a child of its own (nsenter forks)."""
        enter = ["nsenter", f"--target={self.init}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"]
        return ["sh", "-c", ENTER, "enter", *self.group.doors(settled=True), "--", *enter, *map(str, argv)]

    def start(
        self, argv: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """A process that goes on; its output is appended to `log`."""
        with log.open("ab") as out:
            return subprocess.Popen(
                self.inside(argv),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**environment(), **(env or {})},
                cwd="/",
                start_new_session=True,
            )

    def run(self, *argv: str | Path, stdin: IO[bytes] | int = subprocess.DEVNULL, check: bool = True) -> str:
        """Run to the end and return what it printed. Raises RuntimeError with what it said when it fails and `check`."""
        options: dict[str, Any] = {
            "stdin": stdin,
            "capture_output": True,
            "text": True,
            "cwd": "/",
            "env": environment(),
        }
        done = subprocess.run(self.inside(argv), check=False, **options)
        if check and done.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(map(str, argv))} ended with {done.returncode}: {done.stderr}")
        return str(done.stdout)

    def cut(self) -> None:
        """Power off, at once. Returns when nothing runs in it any more."""
        if self._outer is None:
            return
        self._outer.kill()  # unshare; its child, process 1, is killed with it, and with that all the others
        self._outer.wait()
        assert self._outer.stdin is not None
        self._outer.stdin.close()
        self._outer, self.init = None, 0
        end = time.monotonic() + 20
        while self.group.processes():
            if time.monotonic() > end:
                raise RuntimeError(f"{self.name}: processes {self.group.processes()} do not end")
            self.group.kill()
            time.sleep(0.01)


def child_of(pid: int, patience: float = 10.0) -> int:
    """The first child of a process, as soon as there is one; 0 when the process ends without."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except FileNotFoundError:
            return 0
        if children:
            return int(children[0])
        time.sleep(0.005)
    raise RuntimeError(f"process {pid} has no child after {patience} s")


def environment() -> dict[str, str]:
    """What programs in a machine get: no settings of whoever runs the tests but these."""
    return {"PATH": ":".join(SYSTEM), "HOME": "/root", "LANG": "C.UTF-8", "TMPDIR": os.environ.get("TMPDIR", "/tmp")}
