"""How many workers of which function are to wait because somebody said so: remembered across restarts.

One small file in the data folder, written only when that changes. Lost or broken, manifests and schedules count again.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import msgspec

log = logging.getLogger(__name__)

_read = msgspec.json.Decoder(dict[str, int]).decode


class Scaled:
    """`by_hand` is the engine's, which changes it on its own thread from its start on; `keep` may be called on any."""

    def __init__(self, file: Path, by_hand: dict[str, int]) -> None:
        self._file = file
        self._kept = self._load()
        self._keeping = threading.Lock()
        self._by_hand = by_hand
        by_hand.update(self._kept)

    def keep(self) -> None:
        """Have it on disk if it has changed. Errors: OSError."""
        with self._keeping:
            found = dict(self._by_hand)
            if found == self._kept:
                return
            fresh = self._file.with_suffix(".new")
            with fresh.open("wb") as file:
                file.write(msgspec.json.encode(found, order="sorted"))
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(self._file)
            self._kept = found

    def _load(self) -> dict[str, int]:
        try:
            return _read(self._file.read_bytes())
        except FileNotFoundError:
            return {}
        except (msgspec.DecodeError, OSError) as error:
            log.warning(
                "%s cannot be read, so functions scaled by hand are as their manifests say: %s", self._file, error
            )
            return {}
