"""Tokens for machines: create, list, revoke."""

from __future__ import annotations

import time

import click

from edge_agent.cli import printing
from edge_agent.cli.client import Agent
from edge_agent.cli.options import Duration, confirm, destructive, named, output, with_agent

COLUMNS: list[printing.Column] = [
    ("name", lambda token: token["name"]),
    ("scopes", lambda token: token["scopes"]),
    ("created", lambda token: printing.when(token.get("created_at"))),
    ("expires", lambda token: "over" if token.get("expired") else printing.when(token.get("expires_at"))),
]


@click.group()
def command() -> None:
    """Tokens for machines: create, list, revoke.

    \b
    Example:
      edgectl tokens create greenhouse --scope ingest:tank-1
      edgectl tokens list
    """


@command.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    help="ingest, ingest:DEVICE, read, operate or admin; may be repeated.",
)
@click.option("--expires-in", type=Duration(), help="How long it works; for ever when left out.")
@output()
@with_agent
def create(agent: Agent, name: str, scopes: tuple[str, ...], expires_in: float | None, output: str) -> None:
    """Make a token. It is shown this once: the agent keeps only its hash.

    \b
    Example:
      edgectl tokens create greenhouse --scope ingest:tank-1 --expires-in 90d
    """
    body: dict[str, object] = {"name": name, "scopes": list(scopes)}
    if expires_in:
        body["expires_at"] = int((time.time() + expires_in) * 1000)
    made = agent.post("tokens", body=body)
    if output == "table":
        click.echo("shown this once; keep it in a file only you can read", err=True)
        click.echo(made["token"])
    else:
        printing.one(made, output, ())


@command.command("list")
@output()
@with_agent
def list_(agent: Agent, output: str) -> None:
    """Every token, without its secret.

    \b
    Example:
      edgectl tokens list
    """
    printing.items(agent.items("tokens"), output, COLUMNS, "no tokens; edgectl tokens create makes one")


@command.command()
@click.argument("names", nargs=-1, required=True, shell_complete=named("tokens"))
@destructive
@with_agent
def revoke(agent: Agent, names: tuple[str, ...], dry_run: bool, yes: bool) -> None:
    """Remove tokens; they stop working at once.

    \b
    Example:
      edgectl tokens revoke greenhouse
    """
    known = {token["name"] for token in agent.items("tokens")}
    if unknown := [name for name in names if name not in known]:
        raise click.UsageError(f"there is no token {', '.join(unknown)}; edgectl tokens list shows them")
    if not dry_run:
        confirm(f"Revoke {', '.join(names)}?", yes=yes)
    for name in names:
        if not dry_run:
            agent.request("DELETE", ("tokens", name))
        click.echo(f"{name} {'would be' if dry_run else 'is'} revoked")
