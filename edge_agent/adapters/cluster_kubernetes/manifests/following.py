"""Function and Rule objects of one namespace, as they are now.

Enters: what the watches say. Leaves: `Resource`s, and a word whenever one is another than before.
Guarantee: nothing is called deleted that was only not seen: a kind that was never listed answers None. A deletion counts
after `LINGER`, so that deleting and creating again (`kubectl replace --force`) is an edit, and what is queued stays queued.
What the agent writes into a status comes back here and is no change.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from edge_agent.adapters.cluster_kubernetes.api import Connection, Json, Watch
from edge_agent.manifests.documents import API_VERSION, KINDS
from edge_agent.manifests.references import Key
from edge_agent.manifests.resources import Resource

LINGER = 5.0
"""Seconds a deleted object still counts, in case it comes back."""
Items = dict[str, Resource]


class Following:
    """Any thread may ask. `on_change` is called on a watch's thread; keep it quick."""

    def __init__(self, connection: Connection, namespace: str, on_change: Callable[[], None]) -> None:
        self.namespace = namespace
        self._kinds = {kind: _Kind(kind, on_change) for kind in KINDS}
        self._watches = [
            Watch(connection, path_of(namespace, kind), self._kinds[kind])  # the sink is told on the watch's own thread
            for kind in KINDS
        ]

    def start(self) -> None:
        for watch in self._watches:
            watch.start()

    def stop(self) -> None:
        for watch in self._watches:
            watch.stop()

    def there(self, kind: str) -> Items | None:
        """{name: object}; None while they have never been listed."""
        return self._kinds[kind].there()

    def status(self, key: Key) -> Json:
        """What the object's status said when it was last seen; {} for none."""
        return self._kinds[key[0]].statuses.get(key[1], {})

    def due(self) -> float | None:
        """When a deletion begins to count, monotonic seconds."""
        return min((due for kind in self._kinds.values() for due in kind.leaving.values()), default=None)

    @property
    def away(self) -> str:
        """Why what happens cannot be seen now; "" when it can."""
        return next((watch.reason or "not connected yet" for watch in self._watches if watch.away_since), "")


class _Kind:
    """`Sink` of one kind's watch."""

    def __init__(self, kind: str, on_change: Callable[[], None]) -> None:
        self.kind = kind
        self.leaving: dict[str, float] = {}
        self.statuses: dict[str, Json] = {}
        self._items: Items = {}
        self._listed = False
        self._on_change = on_change
        self._lock = threading.Lock()

    def changed(self, item: Json) -> None:
        found = resource_of(self.kind, item)
        with self._lock:
            self.statuses[found.name] = item.get("status") or {}
            back = self.leaving.pop(found.name, None) is not None
            if self._items.get(found.name) == found and not back:
                return
            self._items[found.name] = found
        if self._listed:
            self._on_change()

    def removed(self, item: Json) -> None:
        with self._lock:
            self.leaving[item["metadata"]["name"]] = time.monotonic() + LINGER
        self._on_change()

    def synced(self) -> None:
        if not self._listed:
            self._listed = True
            self._on_change()

    def away(self, reason: str) -> None:
        """Who wants to know asks `Following.away`."""

    def there(self) -> Items | None:
        if not self._listed:
            return None
        with self._lock:
            now = time.monotonic()
            for name in [name for name, due in self.leaving.items() if due <= now]:
                del self.leaving[name]
                self._items.pop(name, None)
                self.statuses.pop(name, None)
            return dict(self._items)


def path_of(namespace: str, kind: str, name: str = "") -> str:
    """Where the API server has objects of this kind, or the one of this name."""
    path = f"/apis/{API_VERSION}/namespaces/{namespace}/{kind.lower()}s"
    return f"{path}/{name}" if name else path


def resource_of(kind: str, item: Json) -> Resource:
    """Of the object what counts; whatever its spec may hold."""
    metadata: dict[str, Any] = item["metadata"]
    return Resource(
        kind,
        metadata["name"],
        metadata.get("uid", ""),
        int(metadata.get("generation", 0)),
        item.get("spec"),
        metadata.get("creationTimestamp") or "",
    )
