"""A file system that is soon full: a tmpfs, mounted by root or through sudo, for the length of a `with`.

`make test` asks for sudo's password at its beginning, where there is one (.ci/setup root).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """`folder` is made; `size` as mount(8) has it: `3m`. Owned by whoever runs the tests."""
    as_root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    options = f"size={size},mode=0700,uid={os.geteuid()},gid={os.getegid()}"
    folder.mkdir()
    subprocess.run([*as_root, "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*as_root, "umount", "--lazy", str(folder)], check=True)
