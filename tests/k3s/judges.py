"""A Function or Rule, judged twice: by the agent's loader, and by the API server with the schema of k3s/base/crds.yaml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from edge_agent.adapters.cluster_kubernetes.api import Connection
from edge_agent.domain.rules.wire import parse_rule
from edge_agent.errors import Refused
from edge_agent.manifests.folder import PLAIN
from edge_agent.manifests.function import parse_function

CANNOT_JUDGE = {
    "cron": "is no cron expression",
    "time zones": "is no time zone",
    "topic filters": "is a shared subscription|begins with .* belongs to the broker|stands only alone|is no topic filter",
    "globs": "can match no device",
    "folders of the agent's machine": "is no folder",
    "names of variables": "is no variable name|is set by the agent itself",
    "the configured default": r"is more than maxWorkers \(4\)",
    "what kind equals compares with": "needs numbers",
}
"""What a schema cannot judge, and the loader's words for it. Such an object is stored, and its condition says what to do."""
NARROWER = (
    r'Too many: |Too long: |must be (of type )?(integer|boolean)|in body must be of type (integer|boolean): "string"'
)
"""Of the API server, about what the loader takes: more than any manifest has; and "3" or "yes" in quotes for 3 and true."""


def loader(kind: str, spec: Any, folder: Path) -> list[str]:
    """Every fault; [] when it is accepted."""
    if kind == "Function":
        return [
            f"{'.'.join(map(str, path))}: {message}; {hint}"
            for path, message, hint in parse_function("x", spec, folder, PLAIN)[1]
        ]
    return [f"{'.'.join(map(str, fault.path))}: {fault.message}; {fault.hint}" for fault in parse_rule("x", spec)[1]]


def schema(connection: Connection, kind: str, spec: Any, name: str = "x") -> tuple[str, Any]:
    """What the API server says against it, "" when it is accepted; and the spec it would store. Nothing is stored."""
    path = f"/apis/edge.internal/v1alpha1/namespaces/edge-functions/{kind.lower()}s?dryRun=All&fieldValidation=Strict"
    item = {"apiVersion": "edge.internal/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    try:
        return "", connection.create(path, item)["spec"]
    except Refused as refused:
        return str(refused), None


def difference(connection: Connection, kind: str, spec: Any, folder: Path) -> str:
    """ "" when what the loader takes is taken by the API server, and what that stores is taken by the loader; or they differ in
    what they may. An empty field (`timeout:`) is not stored."""
    refusal, stored = schema(connection, kind, spec)
    if refusal:
        narrower = loader(kind, spec, folder) or re.search(NARROWER, refusal)
        return "" if narrower else f"{kind} {spec}: the loader takes it, the schema says: {refusal}"
    known = "|".join(CANNOT_JUDGE.values())
    strange = [fault for fault in loader(kind, stored, folder) if not re.search(known, fault)]
    return f"{kind} {spec}: the schema takes it, the loader says: {strange}" if strange else ""
