"""The Kubernetes API: the only part that imports the `kubernetes` client."""

from __future__ import annotations

from edge_agent.adapters.cluster_kubernetes.api.connection import Connection, Json
from edge_agent.adapters.cluster_kubernetes.api.refusals import Gone
from edge_agent.adapters.cluster_kubernetes.api.watch import Sink, Watch

__all__ = ["Connection", "Gone", "Json", "Sink", "Watch"]
