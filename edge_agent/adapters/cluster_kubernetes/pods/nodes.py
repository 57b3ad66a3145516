"""Which nodes are ready: a pod on one that is not is lost long before Kubernetes deletes it.

Enters: the watch of nodes. Leaves: word of each that ceases or begins to be ready.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_agent.adapters.cluster_kubernetes.api import Json

Told = Callable[[str, bool, str], None]
"""(node, is it ready, why not), on the watch's thread."""


class Nodes:
    """`api.Sink`. One that is gone from the cluster is not ready."""

    def __init__(self, tell: Told) -> None:
        self._tell = tell
        self._ready: dict[str, bool] = {}

    @property
    def ready(self) -> dict[str, bool]:
        """{name: is it ready}; a copy."""
        return dict(self._ready)

    def changed(self, item: Json) -> None:
        name = item["metadata"]["name"]
        ready, why = readiness(item)
        before = self._ready.get(name)
        self._ready[name] = ready
        if ready is not before and (before is not None or not ready):
            self._tell(name, ready, why)

    def removed(self, item: Json) -> None:
        name = item["metadata"]["name"]
        if self._ready.pop(name, False):
            self._tell(name, False, "it was removed from the cluster")

    def synced(self) -> None: ...

    def away(self, reason: str) -> None: ...


def readiness(item: Json) -> tuple[bool, str]:
    """(is it ready, Kubernetes' own words if not)."""
    for condition in (item.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Ready":
            words = ": ".join(word for word in (condition.get("reason"), condition.get("message")) if word)
            return condition.get("status") == "True", words
    return False, "its kubelet has not reported yet"
