"""What an overlay makes: the objects as `kubectl kustomize` writes them out."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import needs

K3S = Path(__file__).parents[2] / "k3s"
OVERLAYS = sorted(folder.name for folder in (K3S / "overlays").iterdir())
EXAMPLES = sorted((K3S / "examples").glob("*.yaml"))


@functools.cache
def rendered(folder: Path) -> str:
    command = [needs.binaries() / "kubectl", "kustomize", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(overlay: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(rendered(K3S / "overlays" / overlay)))


def only(items: list[dict[str, Any]], kind: str, name: str, namespace: str = "") -> dict[str, Any]:
    [found] = [
        item
        for item in items
        if (item["kind"], item["metadata"]["name"]) == (kind, name)
        and (not namespace or item["metadata"].get("namespace") == namespace)
    ]
    return found
