"""What the figures were measured on, in one line."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import subprocess
from pathlib import Path

from tests.broker import mosquitto


def describe() -> dict[str, str | int]:
    """CPU, cores, memory, kernel, and the versions of what takes part."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "mosquitto": _version(mosquitto(), "-h"),
        "node": _version("node", "--version") if shutil.which("node") else "",
    }


def line() -> str:
    told = describe()
    return (
        f"{told['cpu']}, {told['cores']} cores, {told['memory']}, Linux {told['kernel']}, Python {told['python']}, "
        f"Mosquitto {told['mosquitto']}"
    )


def _cpu() -> str:
    for text in (_read("/proc/device-tree/model"), *_fields("model name"), *_fields("Model")):
        if text:
            return text
    return platform.machine()


def _fields(name: str) -> list[str]:
    lines = _read("/proc/cpuinfo").splitlines()
    return [value.strip() for key, _, value in (line.partition(":") for line in lines) if key.strip() == name]


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip("\0\n ")
    except OSError:
        return ""


def _version(*command: str) -> str:
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    words = [word.lstrip("v") for word in told.split() if word.lstrip("v")[:1].isdigit()]
    return words[0] if words else ""
