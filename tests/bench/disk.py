"""A block device of one's own, so that every byte written to it is known: data, journal of the file system, everything.

A loop device with an ext4 as Raspberry Pi OS makes it; needs root. Where that cannot be had, what the kernel charged to the
process (`write_bytes`, without the file system's own journal) is what remains.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

SIZE = 512 * 2**20
SECTOR = 512


def available() -> bool:
    """Whether a loop device can be had here."""
    if os.geteuid() != 0:
        return False
    try:
        with Disk():
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


class Disk:
    """`with Disk() as disk: disk.folder; disk.written`. Both sides wait for writes under way (`sync -f`)."""

    def __init__(self) -> None:
        self._place = Path()
        self._device = ""

    def __enter__(self) -> Disk:
        self._place = Path(tempfile.mkdtemp(prefix="bench-disk-", dir="/var/tmp"))
        image, self.folder = self._place / "image", self._place / "mounted"
        try:
            with image.open("wb") as file:
                file.truncate(SIZE)
            self.folder.mkdir()
            # not lazily: what mkfs leaves for later would be counted as ours
            _run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image))
            self._device = _run("losetup", "--find", "--show", str(image)).strip()
            _run("mount", "-t", "ext4", "-o", "noatime", self._device, str(self.folder))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self._before = self._sectors()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        subprocess.run(["umount", str(self.folder)], capture_output=True, check=False)
        if self._device:
            subprocess.run(["losetup", "--detach", self._device], capture_output=True, check=False)
        for path in (self.folder, self._place / "image"):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
        self._place.rmdir()

    @property
    def written(self) -> int:
        """Bytes written to the device since it was mounted, or since `reset`."""
        return (self._sectors() - self._before) * SECTOR

    def reset(self) -> None:
        self._before = self._sectors()

    def _sectors(self) -> int:
        _run("sync", "-f", str(self.folder))
        return int(Path(f"/sys/block/{Path(self._device).name}/stat").read_text().split()[6])


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
