"""What a board on a cable says on its serial port, line by line, until Ctrl-C."""

from __future__ import annotations

import click


@click.command()
@click.option("--port", default="", help="Its serial port.  [default: the only one there is]")
def monitor(port: str) -> None:
    """Show what a board on a cable prints: its starts, its log, its faults. Ctrl-C ends it; the board goes on.

    \b
    Example:
      edgectl devices monitor
      edgectl devices monitor --port /dev/ttyUSB1
    """
    from edge_agent.adapters.boards_micropython import find_port, listen

    found = find_port(port)
    click.echo(f"{found}, 115200 baud; Ctrl-C ends", err=True)
    for line in listen(found):
        click.echo(line)
