"""One worker's place, as the keeper knows it."""

from __future__ import annotations

import contextlib
import os
import signal

from edge_agent.adapters.run_process.cgroups import Group
from edge_agent.adapters.run_process.process import Order


class Place:
    """Where one worker's processes run, one after the other: a folder, a group, a pipe."""

    def __init__(self, worker_id: str, order: Order, output: int, folder: str) -> None:
        self.id = worker_id
        self.order = order
        self.output = output
        self.folder = folder
        self.group: Group | None = None
        self.pid = self.first = 0
        """Of the process that runs, and of the one that was started last."""
        self.ended: int | None = None
        """The exit code, once the process has ended and while others may be left."""
        self.why = ""
        """It ended so: `memory`, `pids` (it exceeded that), or why it could not be started."""

    def kill(self) -> None:
        """End it and who is in its session or group, at once; who is nevertheless left, is found when it has ended."""
        self.end()
        if self.group is not None:
            self.group.kill()

    def end(self) -> None:
        """The same for its session alone, which is mostly all there is."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
