"""Writes `base/crds.yaml`: what a Function and a Rule may hold, for the API server and `kubectl explain efn.spec`.

Enters: the agent's own models and limits (`edge_agent.manifests`, `edge_agent.domain`). Leaves: two CustomResourceDefinitions.
Guarantee: a field the agent knows and `schemas` does not, or the other way round, ends it; `tests/k3s` gives manifests to both
and compares.
Not chosen: deriving all of it from the models. What judges a field there is Python; only its limits can be taken over.

    python k3s/crds.py            writes the file
    python k3s/crds.py --check    fails when the file is not what this makes
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from schemas.function import function_spec
from schemas.rule import rule_spec
from schemas.status import function_status, rule_status
from schemas.values import NAME, Schema, judged, rule, table, told

from edge_agent.manifests.documents import API_VERSION

FILE = Path(__file__).parent / "base" / "crds.yaml"
HEADER = "# Made by k3s/crds.py from the agent's own models: change it there, then run  python k3s/crds.py\n---\n"
GROUP, VERSION = API_VERSION.split("/")


def column(title: str, path: str, kind: str = "string", priority: int = 0) -> Schema:
    return {"name": title, "jsonPath": path, "type": kind, "priority": priority}


def said(kind: str, what: str = "status") -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{what}'


FUNCTION_COLUMNS = [
    column("Accepted", said("Accepted")),
    column("Ready", said("Ready")),
    column("Workers", ".status.ready"),
    column("Idle", ".status.workers.idle", "integer"),
    column("Busy", ".status.workers.busy", "integer"),
    column("Queued", ".status.queued", "integer"),
    column("Last Error", ".status.lastError"),
    column("Reason", said("Ready", "reason"), priority=1),
    column("Image", ".spec.image", priority=1),
    column("Age", ".metadata.creationTimestamp", "date"),
]
RULE_COLUMNS = [
    column("Accepted", said("Accepted")),
    column("Devices", ".spec.devices"),
    column("Reading", ".spec.reading"),
    column("Severity", ".spec.severity"),
    column("Firing", ".status.firing", "integer"),
    column("Last Fired", ".status.lastFired", "date"),
    *(column(word.capitalize(), f".spec.{word}", priority=1) for word in ("above", "below", "outside", "equals")),
    column("Missing For", ".spec.missingFor", priority=1),
    column("Reason", said("Accepted", "reason"), priority=1),
    column("Age", ".metadata.creationTimestamp", "date"),
]


def definition(kind: str, short: str, schema: Schema, columns: list[Schema]) -> Schema:
    plural = f"{kind.lower()}s"
    named = rule(f"self.metadata.name.matches('{NAME}')", "its name must be 1 to 63 of a-z, 0-9 and -")
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": judged(schema, named)},
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
    }
    names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List", "shortNames": [short]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {**names, "categories": ["edge"]},
            "versions": [version],
        },
    }


def whole_object(description: str, spec: Schema, observed: Schema) -> Schema:
    fixed = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    return told(description, table({**fixed, "spec": spec, "status": observed}, required=["spec"]))


def made() -> str:
    function = whole_object(
        "Code that runs when something happens: a rule, a message, a time.", function_spec(), function_status()
    )
    watch = whole_object("What is watched in readings, and what happens then.", rule_spec(), rule_status())
    both = [definition("Function", "efn", function, FUNCTION_COLUMNS), definition("Rule", "erule", watch, RULE_COLUMNS)]
    return HEADER + yaml.dump_all(both, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)


class _Plain(yaml.SafeDumper):
    """Written out, without anchors; lists under their key as yamllint wants them."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def main(arguments: list[str]) -> int:
    text_ = made()
    if "--check" in arguments:
        return 0 if FILE.exists() and FILE.read_text() == text_ else 1
    FILE.write_text(text_)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
