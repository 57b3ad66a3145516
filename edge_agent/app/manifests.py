"""Rules and functions as they are declared, live: read at start and on reload, changed one at a time over HTTP.

A folder that somebody left broken must not keep the appliance from coming back after a power cut: what was last good goes
on, and an alarm names every fault.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

import msgspec

from edge_agent.app import restore
from edge_agent.app.parts import Parts
from edge_agent.domain.function import FunctionSpec
from edge_agent.domain.rules.spec import Rule
from edge_agent.errors import Invalid, NotFound
from edge_agent.manifests import Manifests

log = logging.getLogger(__name__)


class _LastGood(msgspec.Struct, frozen=True):
    rules: dict[str, Rule]
    functions: dict[str, FunctionSpec]
    documents: list[tuple[str, str, dict[str, Any]]]


class Declared:
    """What holds now. `functions` and `documents` are those of the last good reading."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._file = parts.settings.data.dir / "last-good-manifests.json"
        self.functions: Mapping[str, FunctionSpec] = {}
        self.documents: Mapping[tuple[str, str], dict[str, Any]] = {}

    def begin(self) -> None:
        """At start. Errors: `Invalid`, when the folder is broken and there is nothing earlier to go on with."""
        try:
            manifests = self._parts.manifests.load()
        except Invalid as error:
            manifests = self._last_good(error)
        self._parts.pipeline.rules.replace(list(manifests.rules.values()))
        restore.rules(self._parts)
        restore.triggers(self._parts, manifests.functions)
        self._remember(manifests)

    def reload(self) -> Manifests:
        """Read the folder again. Errors: `Invalid`; then what held goes on holding."""
        try:
            manifests = self._parts.manifests.load()
        except Invalid as error:
            self._alarm(error)
            raise
        self.live_by(manifests)
        return manifests

    def live_by(self, manifests: Manifests) -> None:
        """From now on these."""
        self._parts.alarms.set("manifests", "")
        self._remember(manifests)
        self._parts.engine.replace(manifests.functions)
        self._parts.pipeline.replace(list(manifests.rules.values()), manifests.functions)
        self._parts.subscriptions.change(self._parts.pipeline.triggers.subscriptions())

    def document(self, kind: str, name: str) -> dict[str, Any]:
        found = self.documents.get((kind, name))
        if found is None:
            raise NotFound(f"there is no {kind.lower()} {name}")
        return found

    def _remember(self, manifests: Manifests) -> None:
        self.functions, self.documents = manifests.functions, manifests.documents
        self._parts.meter.specs = manifests.functions
        self._parts.logbook.keep(manifests.functions)
        good = _LastGood(
            dict(manifests.rules),
            dict(manifests.functions),
            [(kind, name, document) for (kind, name), document in manifests.documents.items()],
        )
        body = msgspec.json.encode(good)
        if self._file.exists() and self._file.read_bytes() == body:
            return
        fresh = self._file.with_suffix(".new")
        with fresh.open("wb") as file:
            fresh.chmod(0o600)
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(self._file)

    def _last_good(self, error: Invalid) -> Manifests:
        if not self._file.exists():
            raise error
        good = msgspec.json.decode(self._file.read_bytes(), type=_LastGood)
        self._alarm(error)
        documents = {(kind, name): document for kind, name, document in good.documents}
        return Manifests(good.rules, good.functions, documents, {})

    def _alarm(self, error: Invalid) -> None:
        self._parts.alarms.set("manifests", f"the manifests have faults, so the last good ones go on: {error}")
