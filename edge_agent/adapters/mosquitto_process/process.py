"""The broker's process: started, watched, started again, stopped.

Its database is a convenience: when it is corrupt it is set aside, for boards keep what has no `ack` (INTERFACE: Whose
promise is what).
"""

from __future__ import annotations

import logging
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from pathlib import Path

from edge_agent.adapters.mosquitto_process.configuration import MAX_QUEUED_BYTES, program, text, write_private
from edge_agent.errors import Unavailable

LOG = logging.getLogger("edge_agent.mosquitto")
START_WITHIN = 15.0
"""Seconds: a large database on a slow card takes a while to read."""
_STAMP = re.compile(r"^\d+: ")


class Mosquitto:
    """One broker process. `start` returns when it accepts connections; `stop` when it is gone."""

    def __init__(self, folder: Path, port: int, *, lan: bool = False, queued_bytes: int = MAX_QUEUED_BYTES) -> None:
        self.folder = folder
        self.lan = lan
        self.host = "0.0.0.0" if lan else "127.0.0.1"  # noqa: S104 - --lan asks for exactly that
        self.port = port
        self.restarts = 0
        self._queued_bytes = queued_bytes
        self._process: subprocess.Popen[str] | None = None
        self._stopping = threading.Event()
        self._listening = threading.Event()
        self._failure = ""
        self._said: deque[str] = deque(maxlen=20)
        self._up = False
        self._watcher = threading.Thread(target=self._watch, name="mosquitto", daemon=True)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def start(self) -> None:
        """Raises `Unavailable` with what Mosquitto said."""
        if program() is None:
            raise Unavailable(
                "Mosquitto is not installed: sudo apt install mosquitto (or name a broker in [mqtt] host)"
            )
        write_private(
            self.folder / "mosquitto.conf",
            text(self.folder, f"{self.port} {self.host}", self._queued_bytes, lan=self.lan),
        )
        self._watcher.start()
        end = time.monotonic() + START_WITHIN
        while not self._listening.wait(0.01):
            if self._failure or time.monotonic() > end:
                raise Unavailable(f"Mosquitto does not start: {self._failure or self._last_words() or 'it is silent'}")

    def stop(self) -> None:
        """SIGTERM, so that it saves its database; SIGKILL after five seconds."""
        self._stopping.set()
        process = self._process
        if process and process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
        if self._watcher.is_alive():
            self._watcher.join(10)

    @property
    def pid(self) -> int:
        """The process now running; 0 between two."""
        process = self._process
        return process.pid if process and process.poll() is None else 0

    def _watch(self) -> None:
        """Start it, hear it out to its end, start it again. One thread for all, because the kernel kills a child with
        pdeathsig when the thread that made it ends."""
        pause = 0.2
        while not self._stopping.is_set():
            self._said.clear()
            self._up = False
            began = time.monotonic()
            code = self._live()
            if self._stopping.is_set():
                return
            if not self._up and self._set_aside_database():
                continue
            if not self._listening.is_set():
                self._failure = self._last_words()
                return
            pause = 0.2 if time.monotonic() - began > 30 else min(pause * 2, 10.0)
            LOG.warning("Mosquitto ended (%s); starting it again in %.1f s %s", _why(code), pause, self._last_words())
            self.restarts += 1
            self._stopping.wait(pause)

    def _live(self) -> int:
        """One process from start to end; its exit code. Its log comes through a pipe: nothing grows on the disk."""
        command = [program() or "mosquitto", "-c", str(self.folder / "mosquitto.conf")]
        if setpriv := shutil.which("setpriv"):  # a killed agent must not leave a broker that holds the port
            command = [setpriv, "--pdeathsig", "TERM", *command]
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C goes to us alone: the broker hears the agent's last words
        ) as self._process:
            assert self._process.stderr
            if self._stopping.is_set():
                self._process.terminate()
            for line in self._process.stderr:
                self._hear(line.strip())
        return self._process.returncode

    def _hear(self, line: str) -> None:
        text = _STAMP.sub("", line)
        self._said.append(text)
        LOG.log(logging.WARNING if "rror" in text and self._up else logging.DEBUG, "%s", text)
        if text.startswith("mosquitto version") and text.endswith("running"):
            self._up = True
            self._listening.set()
            if self.restarts:
                LOG.warning("Mosquitto runs again on port %d", self.port)

    def _set_aside_database(self) -> bool:
        """A corrupt database stops every start (mosquitto#3160): move it away, once per start."""
        database = self.folder / "mosquitto.db"
        if not database.exists() or "database" not in " ".join(self._said).lower():
            return False
        aside = self.folder / f"mosquitto.db.corrupt-{int(time.time())}"
        database.rename(aside)
        LOG.error("Mosquitto's database is corrupt; it is kept as %s, and boards send again what had no ack", aside)
        return True

    def _last_words(self) -> str:
        """Its last error; without one, while it has not come up, the last things it said."""
        said = list(self._said)
        errors = [text for text in said if "rror" in text]
        return errors[-1] if errors else "" if self._up else " ".join(said)[-200:]


def _why(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
