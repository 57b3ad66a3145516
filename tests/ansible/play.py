"""A run of ansible-playbook against a ground, and what it said."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.ansible.ground import Ground, Node, environment, hosts

ANSIBLE = Path(__file__).parents[2] / "ansible"
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.M)


@dataclass(frozen=True, slots=True)
class Run:
    """`changed` counts tasks, over all nodes; `code` is 0 where all went well."""

    code: int
    said: str

    @property
    def changed(self) -> int:
        return sum(int(line[2]) for line in RECAP.findall(self.said))


def play(ground: Ground, home: Path, groups: dict[str, Sequence[Node]], *options: str, **settings: object) -> Run:
    """site.yml over these nodes."""
    inventory = home / "inventory.json"
    inventory.write_text(json.dumps(hosts(groups, **settings)))
    playbook = [str(Path(sys.executable).parent / "ansible-playbook"), str(ANSIBLE / "site.yml")]
    command = [*playbook, "--inventory", str(inventory), *options]
    done = subprocess.run(
        command, env=environment(ground, home), cwd=home, capture_output=True, text=True, check=False, timeout=400
    )
    return Run(done.returncode, done.stdout + done.stderr)
