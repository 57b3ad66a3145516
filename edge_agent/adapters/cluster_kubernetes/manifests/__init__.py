"""Functions and rules as objects of the cluster: followed, told how they are, and what happened to them."""

from __future__ import annotations

from edge_agent.adapters.cluster_kubernetes.manifests.following import Following
from edge_agent.adapters.cluster_kubernetes.manifests.happenings import Happenings
from edge_agent.adapters.cluster_kubernetes.manifests.statuses import Statuses

__all__ = ["Following", "Happenings", "Statuses"]
