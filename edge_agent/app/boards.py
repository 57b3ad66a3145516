"""What the appliance keeps of each board it provisioned: the configuration it was given.

Enters: a board's configuration. Leaves: the same, for the flasher. Guarantee: the folder is 0700 and each file 0600 from its
first byte on, for Wi-Fi and broker passwords are in them; a file is replaced in one piece.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_agent.domain.topics import is_name
from edge_agent.errors import Fault, Invalid, NotFound

FOLDER = "boards"


class Boards:
    """The boards of one data folder."""

    def __init__(self, data: Path) -> None:
        self.folder = data / FOLDER

    def file(self, device: str) -> Path:
        if not is_name(device):
            raise Invalid([Fault("device", 0, 0, "name", f"{device!r} is no name", "a-z, 0-9 and -, at most 63")])
        return self.folder / f"{device}.json"

    def read(self, device: str) -> dict[str, Any]:
        """The configuration it was given. Raises `NotFound`."""
        try:
            found: dict[str, Any] = json.loads(self.file(device).read_text())
        except FileNotFoundError:
            raise NotFound(
                f"{device} has not been provisioned here; edgectl devices provision {device} does it"
            ) from None
        return found

    def keep(self, device: str, config: Mapping[str, Any]) -> Path:
        file = self.file(device)
        self._write(file, json.dumps(dict(config), indent=1, ensure_ascii=False) + "\n")
        return file

    def copy(self, device: str, to: Path) -> None:
        """Its configuration in another place, as private as here."""
        self._write(to, self.file(device).read_text())

    def _write(self, file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = file.with_name(f".{file.name}.new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        draft.replace(file)
