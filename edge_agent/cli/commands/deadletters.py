"""Events no function answered: list, show, redrive, purge."""

from __future__ import annotations

from typing import Any

import click

from edge_agent.cli import printing
from edge_agent.cli.client import Agent
from edge_agent.cli.options import Moment, confirm, destructive, named, output, with_agent

ID = named("deadletters", key="id")
COLUMNS: list[printing.Column] = [
    ("id", lambda letter: letter["id"]),
    ("function", lambda letter: letter["function"]),
    ("kind", lambda letter: letter.get("kind")),
    ("attempts", lambda letter: letter.get("attempts")),
    ("died", lambda letter: printing.ago(died(letter))),
    ("reason", lambda letter: letter.get("reason")),
]


def died(letter: dict[str, Any]) -> float | None:
    return letter.get("died_at") or letter.get("died")


@click.group()
def command() -> None:
    """Events no function answered: list, show, redrive, purge.

    \b
    Example:
      edgectl deadletters list --function send-mail
      edgectl deadletters redrive --all --function send-mail --dry-run
    """


@command.command("list")
@click.option("--function", default="", help="Only of this one.", shell_complete=named("functions"))
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most this many.")
@output()
@with_agent
def list_(agent: Agent, function: str, limit: int, output: str) -> None:
    """Dead letters, newest first.

    \b
    Example:
      edgectl deadletters list -o json
    """
    printing.items(agent.items("deadletters", limit=limit, function=function), output, COLUMNS, "no dead letters")


@command.command()
@click.argument("id", shell_complete=ID)
@output()
@with_agent
def show(agent: Agent, id: str, output: str) -> None:
    """One dead letter with its reason, event and log.

    \b
    Example:
      edgectl deadletters show tank-1/7f3a9c01d2e4b586/42/tank-low
    """
    found = agent.get("invocations", id)
    printing.one(found, output, [(name.replace("_", " "), value) for name, value in found.items() if name != "log"])
    if output == "table" and found.get("log"):
        click.echo(f"\n{found['log'].rstrip()}")


@command.command()
@click.argument("ids", nargs=-1, shell_complete=ID)
@click.option("--all", "every", is_flag=True, help="All of them (of --function).")
@click.option("--function", default="", help="With --all: only of this one.", shell_complete=named("functions"))
@destructive
@with_agent
def redrive(agent: Agent, ids: tuple[str, ...], every: bool, function: str, dry_run: bool, yes: bool) -> None:
    """Hand events to their function again, with a fresh count of attempts.

    \b
    Example:
      edgectl deadletters redrive tank-1/7f3a9c01d2e4b586/42/tank-low
      edgectl deadletters redrive --all --function send-mail --yes
    """
    if bool(ids) == every:
        raise click.UsageError("name dead letters, or say --all")
    chosen = [letter["id"] for letter in agent.items("deadletters", function=function)] if every else list(ids)
    if every and chosen and not dry_run:
        confirm(f"Run {len(chosen)} events again?", yes=yes)
    for id_ in chosen:
        agent.post("deadletters", id_, "redrive", dry_run="true" if dry_run else "")
        click.echo(f"{id_} {'would be' if dry_run else 'is'} handed over again")
    if not chosen:
        click.echo("no dead letters", err=True)


@command.command()
@click.option("--function", default="", help="Only of this one.", shell_complete=named("functions"))
@click.option("--older-than", type=Moment(), help="Only what died before: 7d (ago), or a date.")
@destructive
@with_agent
def purge(agent: Agent, function: str, older_than: int | None, dry_run: bool, yes: bool) -> None:
    """Let dead letters go, for ever.

    \b
    Example:
      edgectl deadletters purge --older-than 30d --dry-run
    """
    body = {"function": function} | ({"older_than": older_than} if older_than else {})
    count = _count(agent.post("deadletters", "purge", body=body, dry_run="true"))
    if dry_run:
        click.echo(f"{count} dead letters would be removed")
        return
    confirm(f"Remove {count} dead letters?", yes=yes)
    click.echo(f"{_count(agent.post('deadletters', 'purge', body=body))} dead letters are removed")


def _count(told: dict[str, Any]) -> int:
    return int(next((value for value in told.values() if isinstance(value, int) and not isinstance(value, bool)), 0))
