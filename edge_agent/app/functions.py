"""Functions for who asks about them: how they are, what they printed, what they used; and how many are to wait."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.app import usage
from edge_agent.app.parts import Parts
from edge_agent.engine.functions.logbook import Feed
from edge_agent.errors import NotFound
from edge_agent.manifests.resources import CLUSTER
from edge_agent.manifests.store import own_file
from edge_agent.manifests.writing import version as version_of

if TYPE_CHECKING:
    from edge_agent.app.manifests import Declared

Json = dict[str, Any]


class Functions:
    """Needs `parts` and `declared` of the appliance."""

    parts: Parts
    declared: Declared

    def functions(self) -> list[Json]:
        status = self.parts.engine.status()
        return [
            {"name": name, "manifest": document, "version": version_of(document)}
            | self._origin(kind, name)
            | _state(status.get(name, {}))
            for (kind, name), document in sorted(self.declared.documents.items())
            if kind == "Function"
        ]

    def scale(self, function: str, min_idle: int | None) -> Json:
        """An operator's word, over the manifest's; it is on disk when this returns."""
        self._known(function)
        self.parts.engine.scale(function, min_idle)
        self.parts.scaled.keep()
        return {"function": function} | _state(self.parts.engine.status().get(function, {}))

    # -- what they printed

    def logs(self, function: str, *, since: int = 0, tail: int = 0) -> Json:
        self._known(function)
        lines, lost = self.parts.logbook.read(function, since=since, tail=tail)
        return {"items": [line.show() for line in lines], "lost": lost}

    def follow_logs(self, function: str) -> Feed:
        self._known(function)
        return self.parts.logbook.follow(function)

    def unfollow_logs(self, function: str, feed: Feed) -> None:
        self.parts.logbook.unfollow(function, feed)

    # -- what they used

    def usage(self, function: str, since: int, until: int, step: int = 0) -> Json:
        self._known(function)
        return usage.of_function(self.parts, function, since, until, step)

    def all_usage(self, since: int, until: int, step: int = 0) -> list[Json]:
        return [usage.of_function(self.parts, name, since, until, step) for name in sorted(self.declared.functions)]

    def _origin(self, kind: str, name: str) -> Json:
        """Where it is declared: `origin` is the file, or `cluster`; `declared_by` who put it there."""
        origin = self.declared.origins.get((kind, name), "")
        by = CLUSTER if origin == CLUSTER else "api" if Path(origin).name == own_file(kind, name) else "file"
        return {"origin": origin, "declared_by": by}

    def _known(self, function: str) -> None:
        if function not in self.declared.functions:
            raise NotFound(f"there is no function {function}")


def _state(status: Any) -> Json:
    """What the engine says, under the names the API has."""
    rest = {key: value for key, value in status.items() if key not in ("workers", "queued", "last_error")}
    return {
        "workers": dict(status.get("workers", {})),
        "queue": status.get("queued", 0),
        "last_error": status.get("last_error", ""),
    } | rest
