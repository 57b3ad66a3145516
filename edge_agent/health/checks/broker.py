"""Is the MQTT broker there? Without it no board is heard."""

from __future__ import annotations

from edge_agent.health.amounts import lasting
from edge_agent.health.context import Context
from edge_agent.health.finding import Finding, Healthy, Unwell


def check(context: Context) -> Finding:
    broker = context.broker
    if broker is None:
        return Unwell(
            "not known, no agent is running", try_this="start it: `edgectl run`, or `systemctl start edge-agent`"
        )
    since = lasting(context.clock() - broker.since)
    if broker.connected:
        return Healthy(f"connected to {broker.address} for {since}")
    reason = f": {broker.reason}" if broker.reason else ""
    return Unwell(
        f"not connected to {broker.address} for {since}{reason}",
        try_this="see that Mosquitto runs (`systemctl status mosquitto`), and that host, user and password in [mqtt] are right",
        blocks=("readings wait on the boards that keep them, and are lost on those that do not", "alerts on MQTT"),
    )
