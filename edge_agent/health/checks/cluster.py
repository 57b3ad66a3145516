"""Is the cluster there that functions run on? Without it those that wait go on, and no new ones come."""

from __future__ import annotations

from edge_agent.health.context import Context
from edge_agent.health.finding import Finding, Healthy, Unwell
from edge_agent.ports import ClusterState

NEARLY = 0.9
"""Of a quota: beyond, the next burst is refused."""
SKEW = 5.0
"""Seconds between the clocks; certificates and events' times allow no more."""

BLOCKS = ("functions that have no worker waiting: their events queue, none is lost",)


def check(context: Context) -> Finding:
    cluster = context.cluster
    if cluster is None:
        return Healthy("functions run as processes here, there is none to ask")
    if cluster.trouble:
        return Unwell(
            f"{cluster.address} cannot be asked: {cluster.trouble}",
            try_this="see that it runs (`systemctl status k3s`) and that kubernetes.kubeconfig is good: kubectl get nodes",
            blocks=BLOCKS,
        )
    down = [f"{name} ({why})" for name, why in sorted(cluster.nodes.items()) if why]
    if down or not cluster.nodes:
        return Unwell(
            f"{len(down)} of {len(cluster.nodes)} nodes are not ready: {', '.join(down)}"
            if down
            else "it has no nodes",
            try_this="look at the node: its power, its network, `systemctl status k3s-agent`; kubectl describe node NAME",
            blocks=BLOCKS if len(down) == len(cluster.nodes) else ("the room that these nodes had",),
        )
    if abs(cluster.skew) > SKEW:
        return Unwell(
            f"its clock is {abs(cluster.skew):.0f} s {'ahead of' if cluster.skew > 0 else 'behind'} ours",
            try_this="set both by NTP: timedatectl set-ntp true",
            blocks=("certificates may count as not yet or no longer good",),
        )
    return _rest(cluster)


def _rest(cluster: ClusterState) -> Finding:
    full = [
        f"{what} {used:g} of {allowed:g}"
        for what, (used, allowed) in sorted(cluster.quotas.items())
        if allowed and used / allowed >= NEARLY
    ]
    if full:
        return Unwell(
            f"its quota is nearly used: {', '.join(full)}",
            try_this="lower pool.minIdle or memory of functions, or raise the quota (k3s/base) if the nodes have room",
            blocks=("more workers than there are now",),
        )
    owed = f"; {cluster.owed} pods are still to be deleted" if cluster.owed else ""
    return Healthy(f"{len(cluster.nodes)} nodes ready at {cluster.address}{owed}")
