"""Manifests written back as YAML, in the order and style a person would use."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import yaml

from edge_agent.manifests.documents import API_VERSION
from edge_agent.manifests.yaml12 import Dumper


def dump(kind: str, name: str, spec: Mapping[str, Any]) -> str:
    """One document, without a leading `---`."""
    return dump_manifest({"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": dict(spec)})


def dump_manifest(manifest: Mapping[str, Any]) -> str:
    """The same for a whole manifest, labels and annotations kept."""
    order = ("apiVersion", "kind", "metadata", "spec")
    ordered = {key: manifest[key] for key in order if key in manifest}
    return yaml.dump(ordered, Dumper=Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)


def version(manifest: Mapping[str, Any]) -> str:
    """A hash of what the manifest says; comments, order and layout do not matter."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
