"""Processes that got away: workers of an agent that was killed, and what a worker put into a session of its own.

Found by the mark in their environment (proc(5): /proc/PID/environ), which everything a worker starts inherits.
Not found: what clears its environment and leaves its session; only a cgroup or a pod holds such a process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from edge_agent.adapters.run_process.environment import MARK

_LAST_WILL = r"""
read -r _
round=0
while [ $round -lt 20 ]; do
    found=$(grep -laF "$1" /proc/[0-9]*/environ 2>/dev/null)
    [ -n "$found" ] || break
    for file in $found; do
        pid=${file#/proc/}; pid=${pid%/environ}
        kill -9 "-$pid" "$pid" 2>/dev/null
    done
    round=$((round + 1))
done
rm -rf -- "$2"
"""
"""Waits until its input ends, which the kernel does when the agent is gone, however it went; then kills and tidies."""


class LastWill:
    """A shell of less than 2 MB that outlives the agent for as long as it takes to end all workers marked `mark`.

    Not chosen: PR_SET_PDEATHSIG. It reaches a worker but not what the worker started, and costs each start an exec.
    """

    def __init__(self, mark: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _LAST_WILL, "edge-agent-last-will", f"{MARK}={mark}", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin"},
            cwd="/",
            start_new_session=True,
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def execute(self, timeout: float = 10.0) -> None:
        """Let it do its work now, and wait."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def marked(mark: str) -> Iterator[tuple[int, str]]:
    """(pid, what follows `mark` in its mark) of every process that carries it."""
    wanted = f"{MARK}={mark}".encode()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError), open(f"/proc/{entry.name}/environ", "rb") as file:  # noqa: PTH123 - many a time
            content = b"\0" + file.read()
            start = content.find(b"\0" + wanted)
            if start >= 0:
                rest = content[start + 1 + len(wanted) :].partition(b"\0")[0]
                yield int(entry.name), rest.decode("utf-8", "replace")


def kill_marked(mark: str, spare: Callable[[str], bool]) -> int:
    """Kill every process with `mark` unless `spare(rest of its mark)`; how many."""
    killed = 0
    for pid, rest in marked(mark):
        if not spare(rest):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
    return killed
