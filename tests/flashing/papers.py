"""`edgectl devices` on the appliance of a test, and a board's papers made by it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.agent import EDGECTL
from tests.flashing.conftest import Shelf


def edgectl(shelf: Shelf, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [EDGECTL, "devices", *arguments, "--data", str(shelf.agent.data)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)


def provisioned(shelf: Shelf, device: str, *options: str) -> dict[str, Any]:
    done = edgectl(shelf, "provision", device, "--ssid", "home", *options, stdin="wifi secret\n")
    assert done.returncode == 0, done.stderr
    file = shelf.agent.data / "boards" / f"{device}.json"
    assert file.stat().st_mode & 0o777 == 0o600
    found: dict[str, Any] = json.loads(file.read_text())
    return found
