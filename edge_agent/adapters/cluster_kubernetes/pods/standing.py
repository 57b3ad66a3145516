"""How the cluster is, for the health check: asked when somebody wants to know, never kept."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from edge_agent.adapters.cluster_kubernetes.api import Connection, Json
from edge_agent.adapters.cluster_kubernetes.pods.nodes import readiness
from edge_agent.domain.quantities import parse_cpu, parse_size
from edge_agent.errors import EdgeError
from edge_agent.ports import ClusterState


def ask(cluster: Connection, namespace: str, reason: str, owed: int) -> ClusterState:
    """`reason`: why the watches say that it is away; `owed`: pods that are still to be deleted."""
    try:
        nodes = cluster.get("/api/v1/nodes").get("items") or ()
        quotas = cluster.get(f"/api/v1/namespaces/{namespace}/resourcequotas").get("items") or ()
    except EdgeError as error:
        return ClusterState(cluster.host, trouble=str(error) or reason, owed=owed)
    states = {item["metadata"]["name"]: readiness(item) for item in nodes}
    return ClusterState(
        cluster.host,
        nodes={name: "" if ready else why or "not ready" for name, (ready, why) in states.items()},
        quotas={what: pair for item in quotas for what, pair in _used(item.get("status") or {}).items()},
        skew=_skew(cluster.date),
        owed=owed,
    )


def _used(status: Json) -> dict[str, tuple[float, float]]:
    found = {}
    for what, allowed in (status.get("hard") or {}).items():
        used = (status.get("used") or {}).get(what, "0")
        try:
            read = parse_cpu if "cpu" in what else parse_size
            found[what] = (float(read(str(used))), float(read(str(allowed))))
        except ValueError:
            continue
    return found


def _skew(date: str) -> float:
    """Seconds the Date header of an answer that has just come is ahead of our clock; within one, for it has whole seconds."""
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except ValueError:
        return 0.0
