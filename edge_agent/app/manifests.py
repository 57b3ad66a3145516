"""Rules and functions as they are declared, live: read at start and on reload, changed one at a time over HTTP.

Beside the files may stand what a cluster declares (`Beside`); the two are lived by as one set, whichever of them changes.
A folder that somebody left broken must not keep the appliance from coming back after a power cut: what was last good goes
on, and an alarm names every fault.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from edge_agent.app import restore
from edge_agent.app.parts import Parts
from edge_agent.domain.function import FunctionSpec
from edge_agent.domain.rules.spec import Rule
from edge_agent.errors import Invalid, NotFound, Refused
from edge_agent.manifests import Manifests
from edge_agent.manifests.resources import CLUSTER

log = logging.getLogger(__name__)


class _LastGood(msgspec.Struct, frozen=True):
    rules: dict[str, Rule]
    functions: dict[str, FunctionSpec]
    documents: list[tuple[str, str, dict[str, Any]]]
    files: list[tuple[str, str, str]] = []


class Beside(Protocol):
    """Who declares something that is in no file."""

    def join(self, files: Manifests) -> Manifests:
        """The files' and theirs. One call at a time; errors are kept."""


class Declared:
    """What holds now. `functions` and `documents` are those of the last good reading, `origins` where each stands: a file, or
    `cluster`. Any thread may change it; changes come one after the other."""

    def __init__(self, parts: Parts, beside: Beside | None = None) -> None:
        self._parts = parts
        self._beside = beside
        self._lock = threading.RLock()
        self._files = Manifests()
        self._file = parts.settings.data.dir / "last-good-manifests.json"
        self.functions: Mapping[str, FunctionSpec] = {}
        self.documents: Mapping[tuple[str, str], dict[str, Any]] = {}
        self.origins: Mapping[tuple[str, str], str] = {}

    def begin(self) -> None:
        """At start. Errors: `Invalid`, when the folder is broken and there is nothing earlier to go on with."""
        try:
            manifests = self._parts.manifests.load()
        except Invalid as error:
            manifests = self._last_good(error)
        self._keep(manifests)
        manifests = self._join(manifests)
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

    def live_by(self, files: Manifests) -> None:
        """From now on the files say this."""
        self._parts.alarms.set("manifests", "")
        with self._lock:
            self._keep(files)
            self._live_by(self._join(files))

    def renew(self) -> None:
        """What stands beside the files is another than before."""
        with self._lock:
            self._live_by(self._join(self._files))

    def _live_by(self, manifests: Manifests) -> None:
        self._remember(manifests)
        self._parts.engine.replace(manifests.functions)
        self._parts.pipeline.replace(list(manifests.rules.values()), manifests.functions)
        self._parts.subscriptions.change(self._parts.pipeline.triggers.subscriptions())

    def _join(self, files: Manifests) -> Manifests:
        return files if self._beside is None else self._beside.join(files)

    def only_files(self, kind: str, name: str, verb: str = "edit") -> None:
        """Errors: `Refused`, when it lives in the cluster: two who change it would undo each other."""
        if self.origins.get((kind, name)) == CLUSTER:
            plural, namespace = f"{kind.lower()}s.edge.internal", self._parts.settings.kubernetes.namespace
            rest = "" if verb == "delete" else ", or delete it there before it is declared here"
            raise Refused(
                f"{kind.lower()} {name} lives in the cluster; {verb} it there{rest}: "
                f"kubectl -n {namespace} {verb} {plural} {name}"
            )

    def document(self, kind: str, name: str) -> dict[str, Any]:
        found = self.documents.get((kind, name))
        if found is None:
            raise NotFound(f"there is no {kind.lower()} {name}")
        return found

    def _remember(self, manifests: Manifests) -> None:
        self.functions, self.documents, self.origins = manifests.functions, manifests.documents, manifests.files
        self._parts.meter.specs = manifests.functions
        self._parts.logbook.keep(manifests.functions)

    def _keep(self, files: Manifests) -> None:
        """For a start with a folder that is broken."""
        self._files = files
        good = _LastGood(
            dict(files.rules),
            dict(files.functions),
            [(kind, name, document) for (kind, name), document in files.documents.items()],
            [(kind, name, file) for (kind, name), file in files.files.items()],
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
        files = {(kind, name): file for kind, name, file in good.files}
        return Manifests(good.rules, good.functions, documents, files)

    def _alarm(self, error: Invalid) -> None:
        self._parts.alarms.set("manifests", f"the manifests have faults, so the last good ones go on: {error}")
