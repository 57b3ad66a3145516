"""The cluster as a place where manifests live (`kubernetes.manifests`): followed, lived by, told how things are."""

from __future__ import annotations

from collections.abc import Callable

from edge_agent.app.parts import Parts
from edge_agent.app.reports import Reports
from edge_agent.app.resources import Resources

CONNECT, READ = 3.0, 5.0
"""Seconds; less than a runner takes, for nothing is urgent here and a stop waits for the last word."""


class Cluster:
    """Errors: `Refused` (a configuration that cannot be read)."""

    def __init__(self, parts: Parts) -> None:
        # 8 MB: only who uses it pays
        from edge_agent.adapters.cluster_kubernetes.api import Connection
        from edge_agent.adapters.cluster_kubernetes.manifests import Following, Happenings, Statuses

        chosen = parts.settings.kubernetes
        self._connection = Connection(chosen.kubeconfig, connect=CONNECT, read=READ)
        self._following = Following(self._connection, chosen.namespace, lambda: self.resources.changed())  # noqa: PLW0108
        happenings = Happenings(self._connection, chosen.namespace)
        statuses = Statuses(self._connection, self._following)
        self.resources = Resources(parts, self._following, happenings)
        self.reports = Reports(parts, self.resources, self._following, statuses, happenings)
        parts.engine.listeners.append(self.reports.settled)

    def start(self, renew: Callable[[], None]) -> None:
        """The engine runs, and what held last does. `renew` has `resources.join` called and its result lived by."""
        self.resources.renew = renew
        self.resources.start()
        self._following.start()
        self.reports.start()

    def stop(self) -> None:
        """While the engine can still be asked."""
        self.resources.stop()
        self.reports.stop()
        self._following.stop()
        self._connection.close()


def make(parts: Parts) -> Cluster | None:
    """None: manifests come from files alone."""
    return Cluster(parts) if parts.settings.kubernetes.manifests else None
