"""A MongoDB wire-protocol server on a free loopback port, for tests that kill it; what it is: `mongo_server/README.md`.

Enters: a folder for its data. Leaves: a listening server at `uri`, the same after every `kill()` and `start()`.
Guarantee: when `start()` returns it listens; when the `with` block ends its process is gone. What it acknowledged survives
`kill()`. Built once, with Maven and a JDK that are installed through apt where they are missing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

SOURCE = Path(__file__).parent / "mongo_server"
CACHE = Path(__file__).parent.parent / ".cache" / "mongo-server"


class MongoServer:
    """`with MongoServer(tmp_path) as server: server.uri; server.kill(); server.start()`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> MongoServer:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/edge"

    @property
    def log(self) -> str:
        """What it printed on standard error so far."""
        return (self.folder / "mongo.log").read_text(errors="replace")

    def start(self) -> None:
        """Start it (again) over the same data; returns when it listens."""
        if self.process is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        classes = build()
        command = [
            "java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{classes}:{classes}/lib/*",
            "WireServer", str(self.folder / "mongo.h2"), str(self.port),
        ]  # fmt: skip
        with (self.folder / "mongo.log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        if not (listening := re.fullmatch(r"listening (\d+)\n", said)):
            self.kill()
            raise RuntimeError(f"the MongoDB test server does not start: {said}{self.log}")
        self.port = int(listening[1])

    def kill(self) -> None:
        """SIGKILL: connections break, the data stays."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT after `freeze`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(how)
        self.process.wait(20)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None


def build() -> Path:
    """The folder of the compiled server, with its libraries in `lib`; made when it is not there yet."""
    sources = b"".join((SOURCE / name).read_bytes() for name in ("pom.xml", "WireServer.java"))
    folder = CACHE / hashlib.sha256(sources).hexdigest()[:16]
    if folder.exists():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _ensure_installed({"mvn": "maven", "javac": "default-jdk-headless"})
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={unfinished}/lib"]
            _run(["mvn", "-q", "-B", "-f", str(SOURCE / "pom.xml"), *goal])
            _run(["javac", "-cp", f"{unfinished}/lib/*", "-d", str(unfinished), str(SOURCE / "WireServer.java")])
            unfinished.rename(folder)
    return folder


def _ensure_installed(packages: dict[str, str]) -> None:
    """`packages` maps a command to the Debian package that has it."""
    missing = [package for command, package in packages.items() if not shutil.which(command)]
    if not missing:
        return
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    print(f"installing {' '.join(missing)} for the MongoDB test server", file=sys.stderr)
    _run([*sudo, "apt-get", "update", "-q"])
    _run([*sudo, "apt-get", "install", "-q", "-y", "--no-install-recommends", *missing])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(
            f"the MongoDB test server needs Maven and a JDK (apt install maven default-jdk-headless), and "
            f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}"
        )
