"""A made-up machine for health checks: files under `root` as the kernel's documentation gives them.

Enters: a temporary folder. Leaves: a `Context` whose every place is inside it; write what the machine shall say.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from edge_agent.health import Context

NOW = 1_763_888_888_000
HOUR = 3_600_000


class FakePi:
    """`pi.write("proc/uptime", "7200.0 1.0")`, then `check(pi.context())`."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.data = folder / "data"
        self.root.mkdir()
        self.data.mkdir()

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def context(self, **what: Any) -> Context:
        return Context(**{"clock": lambda: NOW, "data_dir": self.data, "root": self.root, **what})

    def disk_is(self, name: str, *, size: int, written: int, uptime: float, partition: str = "") -> Path:
        """Put the data folder on a block device of `size` bytes, to which `written` bytes went in `uptime` seconds.

        `stat` as in Documentation/block/stat: the seventh number is sectors written.
        """
        block = self.root / "sys/devices/platform/block" / name
        self.write(f"sys/devices/platform/block/{name}/size", f"{size // 512}\n")
        self.write(
            f"sys/devices/platform/block/{name}/stat",
            f"   34211    12113  2712826    61180    48423    51345  {written // 512}   903264        0   123456   964444\n",
        )
        self.write("proc/uptime", f"{uptime:.2f} 350000.11\n")
        number = self.data.stat().st_dev
        link = self.root / f"sys/dev/block/{os.major(number)}:{os.minor(number)}"
        link.parent.mkdir(parents=True, exist_ok=True)
        if partition:
            self.write(f"sys/devices/platform/block/{name}/{partition}/partition", "2\n")
        link.symlink_to(block / partition if partition else block)
        return block
