"""A board on a cable: which port, which chip, MicroPython through esptool, files through mpremote.

Enters: a port. Guarantee: what was written is verified (esptool compares MD5 sums of the flash, this module SHA-256 of each
file); what is on the board already is left alone, so a run after a cut goes on where the other ended. Both tools run as
processes of their own, as users know them; their progress goes to standard error.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from edge_agent.adapters.boards_micropython.images import Image
from edge_agent.errors import NotFound, Refused, Unavailable

EXTRA = "pip install 'edge-agent[boards]'"
DEVICES = Path("/dev")
AWAKE_WITHIN = 15.0
"""Seconds from the end of esptool to MicroPython's prompt. The first start makes the file system. Not measured on a board."""
LONGEST = 180.0
"""Seconds one tool may take: two megabytes are 45 at 460,800 baud, without compression."""
SUMS = """
import hashlib, json, binascii
def said(name):
    try:
        with open(name, "rb") as file: return binascii.hexlify(hashlib.sha256(file.read()).digest()).decode()
    except OSError: return ""
print(json.dumps({name: said(name) for name in %r}))
"""


def find_port(given: str = "", devices: Path = DEVICES) -> str:
    """The one serial port there is. Raises `NotFound`, `Refused` with what to do."""
    ports = [given] if given else sorted(map(str, (*devices.glob("ttyUSB*"), *devices.glob("ttyACM*"))))
    if not ports:
        raise NotFound("no board on a cable: plug one in (a cable that only charges has no data lines), or name --port")
    if len(ports) > 1:
        raise Refused(f"more than one board on a cable; name one: --port {' or --port '.join(ports)}")
    port = ports[0]
    if not Path(port).exists():
        raise NotFound(f"{port} is not there: plug the board in, or leave --port out")
    if not os.access(port, os.R_OK | os.W_OK):
        raise Refused(f"{port} may not be opened by you: sudo usermod -aG dialout $USER, then sign in again")
    return port


class Cable:
    """The board behind `port`."""

    def __init__(self, port: str) -> None:
        self.port = port

    def chip(self) -> str:
        """As esptool names its family: `ESP32`, `ESP32-C3`. Resets the board."""
        said = self._run("esptool", "--port", self.port, "--after", "no-reset", "chip-id")
        found = re.search(r"(?:Connected to|Detecting chip type\.*) (ESP[\w-]+)", said)
        if found is None:
            raise Unavailable(f"esptool does not name the chip on {self.port}: {said.strip()[-300:]}")
        return found[1].rstrip("-")

    def write(self, chip: str, image: Image) -> None:
        """MicroPython into flash, compared afterwards; left alone when it is there already."""
        name = chip.lower().replace("-", "")
        options = ("--chip", name, "--port", self.port, "--baud", "460800")
        self._run("esptool", *options, "write-flash", "--skip-flashed", hex(image.address), str(image.file), shown=True)

    def put(self, files: Mapping[str, bytes]) -> None:
        """Files onto the board's file system; those that are there already are left alone, all are compared at the end."""
        missing = self._missing(files, until=time.monotonic() + AWAKE_WITHIN)
        folders = sorted({str(parent) for name in files for parent in Path(name).parents if str(parent) != "."})
        made = f"import os\nfor name in {folders!r}:\n    try: os.mkdir(name)\n    except OSError: pass"
        with tempfile.TemporaryDirectory() as drafts:
            self._remote("exec", made)
            for name in missing:
                draft = Path(drafts, "file")
                draft.write_bytes(files[name])
                self._remote("fs", "cp", str(draft), f":{name}", shown=True)
        if wrong := self._missing(files):
            raise Unavailable(f"the board does not hold what was written to it ({', '.join(wrong)}): try again")

    def restart(self) -> None:
        self._remote("reset")

    def _missing(self, files: Mapping[str, bytes], until: float = 0.0) -> list[str]:
        """Names of those that are not on the board as they are here."""
        while True:
            try:
                there = json.loads(self._remote("exec", SUMS % (sorted(files),)))
                break
            except Unavailable:
                if time.monotonic() > until:
                    raise
                time.sleep(0.5)
        return [name for name in sorted(files) if there.get(name) != sha256(files[name]).hexdigest()]

    def _remote(self, *arguments: str, shown: bool = False) -> str:
        return self._run("mpremote", "connect", self.port, "resume", *arguments, shown=shown)

    def _run(self, tool: str, *arguments: str, shown: bool = False) -> str:
        """Its output; shown: to standard error instead, as it comes."""
        to = sys.stderr if shown else subprocess.PIPE
        command = [sys.executable, "-m", tool, *arguments]
        try:
            done = subprocess.run(command, stdout=to, stderr=to, text=True, timeout=LONGEST, check=False)
        except subprocess.TimeoutExpired:
            raise Unavailable(
                f"the board on {self.port} is silent: plug it out and in, and run the same again"
            ) from None
        said = (done.stdout or "") + (done.stderr or "")
        if done.returncode == 0:
            return said
        if f"No module named {tool}" in said:
            raise Unavailable(f"{tool} is not installed: {EXTRA}")
        if not Path(self.port).exists():
            raise Unavailable(
                "the board was unplugged: plug it in and run the same again, what is done is not done twice"
            )
        raise Unavailable(
            f"{tool} could not do it on {self.port}: {said.strip()[-400:] or 'see above'}; run the same again"
        )
