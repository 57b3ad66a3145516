"""What `edgectl devices` does for a board of our own firmware: provision, replace, flash, monitor."""

from __future__ import annotations

import click

from edge_agent.cli.boards.flashing import flash
from edge_agent.cli.boards.monitoring import monitor
from edge_agent.cli.boards.provisioning import provision, replace

COMMANDS: tuple[click.Command, ...] = (provision, replace, flash, monitor)
