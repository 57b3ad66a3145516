"""People who sign in with a name and a password: add, list, remove, passwd."""

from __future__ import annotations

import sys

import click

from edge_agent.cli import printing
from edge_agent.cli.client import Agent
from edge_agent.cli.options import confirm, destructive, named, output, with_agent

COLUMNS: list[printing.Column] = [
    ("name", lambda user: user["name"]),
    ("scopes", lambda user: user["scopes"]),
    ("created", lambda user: printing.when(user.get("created_at"))),
]
USER = named("users")


def _password(asks_twice: str = "Again") -> str:
    """Asked for on a terminal; the first line of standard input otherwise. Never an option: others see those."""
    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=asks_twice, err=True)
        return typed
    return sys.stdin.readline().rstrip("\r\n")


@click.group()
def command() -> None:
    """People who sign in with a name and a password: add, list, remove, passwd.

    \b
    Example:
      edgectl users add ada --scope operate
    """


@command.command()
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, default=["operate"], show_default=True, help="read, operate or admin."
)
@with_agent
def add(agent: Agent, name: str, scopes: tuple[str, ...]) -> None:
    """Add a user; the password is asked for, or read from standard input.

    \b
    Example:
      edgectl users add ada --scope admin
    """
    agent.post("users", body={"name": name, "password": _password(), "scopes": list(scopes)})
    click.echo(f"{name} can sign in")


@command.command("list")
@output()
@with_agent
def list_(agent: Agent, output: str) -> None:
    """Every user.

    \b
    Example:
      edgectl users list
    """
    printing.items(agent.items("users"), output, COLUMNS, "no users; edgectl users add makes one")


@command.command()
@click.argument("name", shell_complete=USER)
@destructive
@with_agent
def remove(agent: Agent, name: str, dry_run: bool, yes: bool) -> None:
    """Remove a user and sign them out.

    \b
    Example:
      edgectl users remove ada
    """
    if name not in {user["name"] for user in agent.items("users")}:
        raise click.UsageError(f"there is no user {name}; edgectl users list shows them")
    if not dry_run:
        confirm(f"Remove {name}?", yes=yes)
        agent.request("DELETE", ("users", name))
    click.echo(f"{name} {'would be' if dry_run else 'is'} removed")


@command.command()
@click.argument("name", shell_complete=USER)
@with_agent
def passwd(agent: Agent, name: str) -> None:
    """Set a user's password; it signs them out everywhere.

    \b
    Example:
      edgectl users passwd ada
    """
    agent.request("PUT", ("users", name, "password"), body={"password": _password()})
    click.echo(f"{name} has a new password")
