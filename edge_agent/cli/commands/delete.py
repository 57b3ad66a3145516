"""Remove rules or functions from the running agent."""

from __future__ import annotations

import click

from edge_agent.cli.client import Agent
from edge_agent.cli.commands.get import NOUNS, _complete
from edge_agent.cli.options import confirm, destructive, with_agent

ANY = {"If-Match": "*"}


@click.command()
@click.argument("noun", type=click.Choice(list(NOUNS)))
@click.argument("names", nargs=-1, required=True, shell_complete=_complete)
@destructive
@with_agent
def command(agent: Agent, noun: str, names: tuple[str, ...], dry_run: bool, yes: bool) -> None:
    """Remove rules or functions. What they stored stays.

    \b
    Example:
      edgectl delete rule tank-low --dry-run
      edgectl delete functions send-mail lan-notify --yes
    """
    route = NOUNS[noun]
    for name in names:
        agent.request(
            "DELETE", (route, name), query={"dry_run": "true"}, headers=ANY
        )  # says no before anybody is asked
    if not dry_run:
        confirm(f"Remove {route} {', '.join(names)}?", yes=yes)
    for name in names:
        if not dry_run:
            agent.request("DELETE", (route, name), headers=ANY)
        click.echo(f"{route.removesuffix('s')}/{name} {'would be ' if dry_run else ''}deleted")
