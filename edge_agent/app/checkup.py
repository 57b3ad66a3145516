"""The health checks, asked about this appliance."""

from __future__ import annotations

from typing import Any

from edge_agent.app.parts import Parts
from edge_agent.health import Broker, Context, Journal, Unwell, run_checks
from edge_agent.ports import ClusterState


def checkup(parts: Parts, cluster: ClusterState | None) -> list[dict[str, Any]]:
    """Every check's finding, JSON-ready."""
    found = run_checks(_context(parts, cluster))
    return [
        {
            "check": name,
            "ok": finding.ok,
            "summary": finding.summary,
            "try_this": finding.try_this if isinstance(finding, Unwell) else "",
            "blocks": list(finding.blocks) if isinstance(finding, Unwell) else [],
        }
        for name, finding in found
    ]


def _context(parts: Parts, cluster: ClusterState | None) -> Context:
    broker, writer, mqtt = parts.broker, parts.journal.writer, parts.settings.mqtt
    waiting, oldest, _ = parts.journal.backlog()
    durations = sorted(writer.durations)
    p99 = durations[int(len(durations) * 0.99)] if durations else 0.0
    return Context(
        parts.clock,
        parts.settings.data.dir,
        Broker(f"{mqtt.host}:{mqtt.port}", broker.connected, broker.changed_at, broker.last_error),
        Journal(waiting, oldest, p99, writer.trouble),
        cluster,
    )
