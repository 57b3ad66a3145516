"""What `edgectl devices` does for a board of our own firmware, rather than with what it said: provision, replace, flash."""

from __future__ import annotations

import click

from edge_agent.cli.boards.flashing import flash
from edge_agent.cli.boards.provisioning import provision, replace

COMMANDS: tuple[click.Command, ...] = (provision, replace, flash)
