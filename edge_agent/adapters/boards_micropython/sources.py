"""The firmware as it is shipped, and its rules for a configuration.

Enters: a folder of sources. Guarantee: what is refused here is what the board would refuse: its own `edge/config.py` judges.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

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
