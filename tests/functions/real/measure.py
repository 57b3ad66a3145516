"""How long each function takes to start, and what it then holds: `python -m tests.functions.real.measure`.

Prints, per function, the median of five starts: the processor time its process has used when it asks for its first event (on a
machine with nothing else to do that is how long it takes), and its resident memory then. Measures; proves nothing.
"""

from __future__ import annotations

import base64
import os
import statistics
import tempfile
from pathlib import Path

import msgspec

from edge_agent.domain.function import PoolSpec
from tests.functions.real import stage
from tests.functions.shelf import Shelf

STARTS = 5
SECRETS = {
    "webhook/secret": "whsec_" + base64.b64encode(bytes(32)).decode(),
    "edge-token/token": "token",
    "lan-notify/targets": "phone ntfy://127.0.0.1:9/shelf",
}


def worker(function: str) -> Path:
    """The folder of its process in /proc."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"AWS_LAMBDA_FUNCTION_NAME={function}\0".encode() in (folder / "environ").read_bytes():
                return folder
        except OSError:
            continue
    raise AssertionError(f"no worker of {function}")


def used(process: Path) -> float:
    """Seconds of processor time (proc(5): /proc/PID/stat, utime, stime, and those of children that ended)."""
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def resident(process: Path) -> int:
    """Bytes (VmRSS)."""
    (line,) = (line for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def once(function: str) -> tuple[float, int]:
    """(seconds of processor time, bytes) of one start."""
    with tempfile.TemporaryDirectory() as folder:
        shelf = Shelf(Path(folder))
        for path, text in SECRETS.items():
            stage.keep_secret(shelf, path, text)
        spec = stage.declare(shelf, function, {})
        shelf.functions[function] = msgspec.structs.replace(spec, pool=PoolSpec(min_idle=1, max_workers=1))
        shelf.start()
        try:
            shelf.idle(function)
            process = worker(function)
            return used(process), resident(process)
        finally:
            shelf.stop()


if __name__ == "__main__":
    for folder in stage.FOLDERS:
        found = [once(folder.name) for _ in range(STARTS)]
        took, held = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{folder.name:<14} starts in {took * 1000:4.0f} ms, holds {held / 2**20:3.0f} MiB", flush=True)
