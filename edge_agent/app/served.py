"""The versions of the cluster's objects that hold, on disk: a start after a power cut may be long before the cluster's.

Guarantee: the file is whole, old or new, and written only when something else holds."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from edge_agent.manifests.references import Key
from edge_agent.manifests.resources import Resource

log = logging.getLogger(__name__)


class Served:
    """One file. Not thread-safe."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._written = b""

    def load(self) -> dict[Key, Resource]:
        """What held last; {} when there is no file, or none that can be read."""
        try:
            self._written = self._file.read_bytes()
            found = msgspec.json.decode(self._written, type=list[Resource])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            log.warning("%s cannot be read, so the cluster's manifests hold once it answers: %s", self._file, error)
            return {}
        return {resource.key: resource for resource in found}

    def keep(self, resources: Mapping[Key, Resource]) -> None:
        """These hold now. A disk that refuses is logged: they hold all the same, until the next start."""
        body = msgspec.json.encode([resources[key] for key in sorted(resources)])
        if body == (self._written or b"[]"):
            return
        fresh = self._file.with_suffix(".new")
        try:
            with fresh.open("wb") as file:
                fresh.chmod(0o600)
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(self._file)
            self._written = body
        except OSError as error:
            log.warning(
                "%s cannot be written, so a start without the cluster has older manifests: %s", self._file, error
            )
