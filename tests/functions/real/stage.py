"""The functions of `functions/`, each as its own manifest declares it, with the other side's address put in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from edge_agent.domain.function import FunctionSpec, RetrySpec
from edge_agent.manifests import load_folder
from tests.functions.shelf import Shelf

FUNCTIONS = Path(__file__).parents[3] / "functions"
FOLDERS = sorted(path.parent for path in FUNCTIONS.glob("*/function.yaml"))

FIRING = {
    "device": "tank-1",
    "reading": "level",
    "value": 18.2,
    "unit": "%",
    "rule": "tank-low",
    "state": "firing",
    "severity": "critical",
    "message": "tank-1 is down to 18.2 %",
    "readings": {"level": 18.2, "door": True},
    "previous": 19.9,
}
"""The data of a rule's event."""


def declare(shelf: Shelf, name: str, env: dict[str, str], **changes: Any) -> FunctionSpec:
    """As its manifest has it; `env` is put over the manifest's ("" takes a variable out), two attempts at most."""
    spec = load_folder(FUNCTIONS / name).functions[name]
    merged = {key: value for key, value in {**spec.env, **env}.items() if value}
    changes = {"retry": RetrySpec(attempts=2), **changes}
    shelf.functions[name] = msgspec.structs.replace(spec, env=merged, **changes)
    return shelf.functions[name]


def keep_secret(shelf: Shelf, path: str, text: str) -> None:
    """A file in the folder of secrets, as `smtp/password`."""
    file = shelf.folder / "secrets" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
