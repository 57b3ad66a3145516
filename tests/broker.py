"""A real Mosquitto on a free loopback port, for tests that kill brokers.

Enters: options; leaves: a listening broker on `port`, the same port after every `kill()`/`stop()` and `start()`.
Guarantee: when `start()` returns the broker answers a TCP connect; when the `with` block ends its process is gone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def mosquitto() -> str:
    """The path of Mosquitto's executable; Debian puts it where an ordinary user's PATH does not look."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if not found:
        raise FileNotFoundError("mosquitto is not installed: apt install mosquitto")
    return found


class Broker:
    """`with Broker(persistence=False) as broker: broker.port; broker.kill(); broker.start()`.

    `users` ({name: password}) turns anonymous access off; `tls` is (certificate, key) PEM files for the listener;
    `extra` are lines for the end of the configuration (they may repeat and so override the ones here).
    """

    def __init__(
        self,
        *,
        persistence: bool = False,
        port: int = 0,
        users: dict[str, str] | None = None,
        tls: tuple[Path, Path] | None = None,
        extra: Sequence[str] = (),
    ) -> None:
        self.port = port
        self._fixed_port = bool(port)
        self.persistence = persistence
        self.users = users
        self.tls = tls
        self.extra = list(extra)
        self.folder = Path()
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Broker:
        self.folder = Path(tempfile.mkdtemp(prefix="broker-"))
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def database(self) -> Path:
        """Mosquitto's persistence file (exists only with `persistence`, after its first save)."""
        return self.folder / "mosquitto.db"

    @property
    def log(self) -> str:
        """What the broker printed so far."""
        return (self.folder / "mosquitto.log").read_text(errors="replace")

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it (again) and return when it listens; a broker that is running is left alone."""
        if self.running:
            return
        for _ in range(5):
            self.port = self.port or free_port()
            if self._start_once():
                return
            if not self._fixed_port:
                self.port = 0  # somebody else was faster
        raise RuntimeError(f"mosquitto does not start:\n{self.log}")

    def stop(self) -> None:
        """End it politely (SIGTERM): persistence is saved, clients see the connection close."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: whatever it had only in memory is gone."""
        self._end(signal.SIGKILL)

    def save(self) -> None:
        """Have the persistence file written now (SIGUSR1); returns at once."""
        assert self.process is not None
        self.process.send_signal(signal.SIGUSR1)

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing answers, like a broker that hangs."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT after `freeze`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(how)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _start_once(self) -> bool:
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen([mosquitto(), "-c", str(self._configuration())], stdout=log, stderr=log)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if self.process.poll() is not None:
                return False
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                if self.process.poll() is None:
                    return True
            time.sleep(0.01)
        self.kill()
        return False

    def _configuration(self) -> Path:
        lines = [
            f"listener {self.port} 127.0.0.1",
            *(["user root"] if os.geteuid() == 0 else []),
            "set_tcp_nodelay true",
            "max_queued_messages 0",
            f"allow_anonymous {'false' if self.users else 'true'}",
            f"persistence {'true' if self.persistence else 'false'}",
            f"persistence_location {self.folder}/",
        ]
        if self.users:
            lines.append(f"password_file {self._password_file(self.users)}")
        if self.tls:
            lines += [f"certfile {self.tls[0]}", f"keyfile {self.tls[1]}"]
        path = self.folder / "mosquitto.conf"
        path.write_text("\n".join([*lines, *self.extra]) + "\n")
        return path

    def _password_file(self, users: dict[str, str]) -> Path:
        path = self.folder / "passwords"
        path.write_text("".join(f"{name}:{password}\n" for name, password in users.items()))
        path.chmod(0o600)
        subprocess.run(["mosquitto_passwd", "-U", str(path)], check=True)
        return path
