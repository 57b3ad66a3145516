"""Print a fresh sign-in link for the page."""

from __future__ import annotations

import click

from edge_agent.cli import printing
from edge_agent.cli.client import PAGE_FILE, Agent
from edge_agent.cli.options import output, with_agent


@click.command()
@click.option("--scope", "scopes", multiple=True, default=["admin"], show_default=True, help="read, operate or admin.")
@click.option("--user", default="owner", show_default=True, help="Who it is for: the name in the record.")
@output()
@with_agent
def command(agent: Agent, scopes: tuple[str, ...], user: str, output: str) -> None:
    """Print a fresh sign-in link for the page. It works once, for ten minutes.

    \b
    Example:
      edgectl signin
      edgectl signin --user ada --scope operate
    """
    made = agent.post("signin-links", body={"scopes": list(scopes), "user": user})
    made["url"] = page_address(agent) + made["path"]
    if output == "table":
        click.echo(made["url"])
    else:
        printing.one(made, output, ())


def page_address(agent: Agent) -> str:
    """Where the page is: the agent beside whose socket it is written, or the address it was reached at."""
    if isinstance(agent.target, str):
        return agent.target
    return (agent.target.parent / PAGE_FILE).read_text(encoding="utf-8").strip()
