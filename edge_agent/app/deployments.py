"""A new version of a function while events flow: copied, tried beside the old one, then recorded; or let go again.

Enters: a folder on this machine, a manifest, or a version that is kept. Leaves: what serves, and word of how it went.
Guarantee: until a worker of the new version has asked for an event the old one serves, and after a crash it still does:
the manifest is stored last. No event is lost, for the queue belongs to the function, not to a version.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from edge_agent.app import allowed
from edge_agent.app.clock import now_ms
from edge_agent.app.parts import Parts
from edge_agent.app.releases import Release, Releases
from edge_agent.domain.function import FunctionSpec
from edge_agent.errors import Conflict, EdgeError, Fault, Invalid, NotFound
from edge_agent.manifests import load_paths
from edge_agent.manifests.writing import version as version_of

if TYPE_CHECKING:
    from edge_agent.app.manifests import Declared

log = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds the engine may take to say how the trial went, beside those that it lets a start take."""
Json = dict[str, Any]


@dataclass(slots=True)
class Trial:
    """The newest deployment of a function: `trying`, `live`, or `failed` with the reason."""

    release: Release
    state: str = "trying"
    reason: str = ""


class Deployments:
    """Thread-safe; one trial of each function at a time."""

    def __init__(self, parts: Parts, declared: Declared) -> None:
        self._parts = parts
        self._declared = declared
        self._releases = Releases(parts.settings.data.dir / "functions")
        self._trials: dict[str, Trial] = {}
        self._lock = threading.Lock()

    def deploy(
        self, name: str, *, folder: str = "", manifest: Json | None = None, version: str = "", dry_run: bool = False
    ) -> Json:
        """Begin to roll out; `versions` says how it went. One of the three: a folder with its manifest, a manifest (an
        image), or a version that is kept ("previous": the one that served before). Errors: `Invalid`, `NotFound`,
        `Conflict` (another one is being tried), `Unavailable` (disk)."""
        with self._lock:
            if (running := self._trials.get(name)) and running.state == "trying":
                raise Conflict(f"version {running.release.version} of {name} is being tried; wait for how it ends")
            try:
                release = self._release(name, folder, manifest, version)
                document = self._releases.manifest(release)
                allowed.needs_image(self._parts.settings, document)
                spec = self._judged(name, document)
            except EdgeError:
                self._forget_copies(name)
                raise
            told = {"function": name, "version": release.version}
            if dry_run or self._declared.documents.get(("Function", name)) == document:
                self._forget_copies(name)
                return told | {"state": "would be tried" if dry_run else "unchanged"}
            self._trials[name] = trial = Trial(release)
            work = (name, trial, document, spec)
            threading.Thread(target=self._try, args=work, name=f"deploy-{name}", daemon=True).start()
            return told | {"state": trial.state}

    def tidy(self) -> None:
        """Remove the versions of functions that are no more, and copies that a crash has left behind."""
        with self._lock:
            trying = [name for name, trial in self._trials.items() if trial.state == "trying"]
            self._releases.tidy([*self._declared.functions, *trying])
            for name, spec in self._declared.functions.items():
                if name not in trying:
                    self._forget_copies(name, Path(spec.source).name)

    def versions(self, name: str) -> list[Json]:
        """[{"version","state": live | kept | trying | failed,"deployed_at","origin","size","reason"}], the newest first."""
        trial = self._trials.get(name)
        document = self._declared.documents.get(("Function", name))
        releases = self._releases.all(name)
        if document is None and trial is None and not releases:
            raise NotFound(f"there is no function {name}")
        states = {r.version: "live" if self._releases.manifest(r) == document else "kept" for r in releases}
        if trial is not None and trial.state != "live":
            releases = [release for release in releases if release.version != trial.release.version] + [trial.release]
            states[trial.release.version] = trial.state
        return [
            {
                "version": release.version,
                "state": states[release.version],
                "deployed_at": release.deployed_at,
                "origin": release.origin,
                "size": release.size,
                "reason": trial.reason if trial is not None and trial.release is release else "",
            }
            for release in reversed(releases)
        ]

    def _release(self, name: str, folder: str, manifest: Json | None, version: str) -> Release:
        if folder:
            return self._copied(name, Path(folder))
        if manifest is not None:
            return Release(version_of(manifest)[:12], manifest, now_ms(), copied=False)
        if version != "previous":
            return self._releases.find(name, version)
        document = self._declared.document("Function", name)
        others = [r for r in self._releases.all(name) if self._releases.manifest(r) != document]
        if not others:
            raise NotFound(f"no earlier version of {name} is kept; the newest ones deployed are")
        return others[-1]

    def _copied(self, name: str, folder: Path) -> Release:
        """Errors: `Invalid` with every fault of the manifest."""
        if not folder.is_absolute() or not folder.is_dir():
            raise Invalid([Fault(str(folder), 0, 0, "folder", "is no folder the agent can see", "give its whole path")])
        found = load_paths([folder], defaults=self._parts.settings.function_defaults, alone=True)
        if name not in found.functions:
            there = ", ".join(found.functions) or "none"
            message = f"declares no function {name}; there is {there}"
            raise Invalid(
                [Fault(str(folder), 0, 0, "metadata.name", message, "edgectl functions new NAME makes a folder")]
            )
        spec, document = found.functions[name], found.documents["Function", name]
        if not spec.source:
            return Release(version_of(document)[:12], document, now_ms(), str(folder), copied=False)
        built = Path(spec.source) / spec.command[0]
        if spec.command[0].startswith("./") and not built.is_file():
            hint = f"build it first: make -C {folder}"
            raise Invalid([Fault(found.files["Function", name], 0, 0, "spec.command", f"{built} is not there", hint)])
        return self._releases.copy(name, folder, Path(spec.source), document, now_ms())

    def _judged(self, name: str, document: Json) -> FunctionSpec:
        """The spec, held against everything else that is declared. Errors: `Invalid`."""
        manifests, _ = self._parts.manifests.put("Function", name, document, dry_run=True)
        return manifests.functions[name]

    def _forget_copies(self, name: str, *more: str) -> None:
        """Those that never served, but for `more`."""
        self._releases.drop(name, keep=[*(known.version for known in self._releases.all(name)), *more])

    def _try(self, name: str, trial: Trial, document: Json, spec: FunctionSpec) -> None:
        """On a thread of its own."""
        try:
            reason = self._roll_out(spec)
            if not reason:
                self._serve(name, trial.release, document)
        except Exception as error:
            if not isinstance(error, EdgeError):
                log.exception("the deployment of %s failed", name)
            reason = str(error) or type(error).__name__
        if reason:
            # Whatever had begun is taken back: what is declared goes on.
            self._parts.engine.replace(self._declared.functions)
            self._forget_copies(name)
            log.warning("version %s of %s does not serve: %s", trial.release.version, name, reason)
        else:
            log.info("version %s of %s serves", trial.release.version, name)
        trial.reason, trial.state = reason, "failed" if reason else "live"

    def _roll_out(self, spec: FunctionSpec) -> str:
        """Why it does not serve; "" when it does."""
        told: SimpleQueue[str | None] = SimpleQueue()
        self._parts.engine.rollout(spec, told.put)
        patience = self._parts.engine.start_timeout + PATIENCE
        try:
            return told.get(timeout=patience) or ""
        except Empty:
            return f"the engine has not said within {patience:g} s whether it can start"

    def _serve(self, name: str, release: Release, document: Json) -> None:
        """Put on record what serves already; the version before it can be had again, even if it was never deployed."""
        before = self._declared.documents.get(("Function", name))
        releases, served = self._releases, [release]
        if before is not None and before not in [releases.manifest(known) for known in releases.all(name)]:
            served.insert(0, Release(version_of(before)[:12], before, now_ms(), origin="applied", copied=False))
        releases.serves(name, *served)
        manifests, _ = self._parts.manifests.put("Function", name, document)
        self._declared.live_by(manifests)
