"""Events no function answered: list, show, redrive, purge."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

import click

from edge_agent.cli import printing, redriving
from edge_agent.cli.client import Agent
from edge_agent.cli.options import Moment, confirm, destructive, named, output, with_agent

F = TypeVar("F", bound=Callable[..., Any])
ID = named("deadletters", key="id")
COLUMNS: list[printing.Column] = [
    ("id", lambda letter: letter["id"]),
    ("function", lambda letter: letter["function"]),
    ("kind", lambda letter: letter.get("kind")),
    ("attempts", lambda letter: letter.get("attempts")),
    ("died", lambda letter: printing.ago(letter.get("died_at"))),
    ("reason", lambda letter: letter.get("reason")),
]


def selecting(function: F) -> F:
    """The filters that `list`, `redrive --all` and `purge` share."""
    for option in (
        click.option("--device", default="", help="Only events of this device.", shell_complete=named("devices")),
        click.option("--until", type=Moment(), help="Only what died before: 1h (ago), or a date."),
        click.option("--since", type=Moment(), help="Only what died then or later: 24h (ago), or a date."),
        click.option(
            "--kind", default="", help="Only what failed so at last: timeout, function-error, worker-lost, ..."
        ),
        click.option("--function", default="", help="Only of this one.", shell_complete=named("functions")),
    ):
        function = option(function)
    return function


def selection(given: dict[str, Any]) -> dict[str, Any]:
    """Takes the filters out of a command's options; those that say something."""
    said = {name: given.pop(name) for name in ("function", "kind", "since", "until", "device")}
    return {name: value for name, value in said.items() if value not in ("", None)}


@click.group()
def command() -> None:
    """Events no function answered: list, show, redrive, purge.

    \b
    Example:
      edgectl deadletters list --function send-mail --since 24h
      edgectl deadletters redrive --all --function send-mail --dry-run
    """


@command.command("list")
@selecting
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most this many.")
@output()
@with_agent
def list_(agent: Agent, limit: int, output: str, **given: Any) -> None:
    """Dead letters, the newest first.

    \b
    Example:
      edgectl deadletters list --kind timeout --device tank-1
      edgectl deadletters list -o json
    """
    found = agent.items("deadletters", limit=limit, **selection(given))
    printing.items(found, output, COLUMNS, "no dead letters")


@command.command()
@click.argument("id", shell_complete=ID)
@click.option("--function", default="", help="Of this one, when several failed.", shell_complete=named("functions"))
@output()
@with_agent
def show(agent: Agent, id: str, function: str, output: str) -> None:
    """One dead letter: why it died, its attempts, the event, and the end of the log.

    \b
    Example:
      edgectl deadletters show tank-1/7f3a9c01d2e4b586/42/tank-low
    """
    found = agent.get("deadletters", id, function=function)
    others = found.pop("others", [])
    if output != "table":
        printing.one(found | ({"others": others} if others else {}), output, ())
        return
    for letter in [found, *others]:
        _tell(letter)


def _tell(letter: dict[str, Any]) -> None:
    rows = [(name, letter.get(name)) for name in ("id", "function", "cause", "kind", "reason")]
    rows += [("created", printing.when(letter["created_at"])), ("died", printing.when(letter["died_at"]))]
    printing.one(letter, "table", rows)
    click.echo("\nattempts")
    columns: list[printing.Column] = [
        ("", lambda phase: phase["number"]),
        ("handed over", lambda phase: printing.when(phase.get("handed_over"))),
        ("took", redriving.took),
        ("failed with", lambda phase: phase.get("kind")),
    ]
    printing.items(letter.get("phases") or [], "table", columns, "it was never handed over")
    click.echo("\nevent")
    click.echo(_pretty(letter.get("event", "")))
    for name, heading in (("response", "\nerror it posted"), ("log", "\nend of its log")):
        if letter.get(name):
            click.echo(heading)
            click.echo(_pretty(letter[name].rstrip()))


def _pretty(text: str) -> str:
    """JSON indented, other text line by line; nothing that a terminal would obey."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=True)
    except ValueError:
        return "\n".join(printing.plain(line.expandtabs()) if line else "" for line in text.splitlines())


@command.command()
@click.argument("ids", nargs=-1, shell_complete=ID)
@click.option("--all", "every", is_flag=True, help="All that the filters leave.")
@selecting
@click.option(
    "--rate", default="10/s", show_default=True, help="So many, as 10/s or 100/m: what is behind may be slow."
)
@destructive
@with_agent
def redrive(agent: Agent, ids: tuple[str, ...], every: bool, rate: str, dry_run: bool, yes: bool, **given: Any) -> None:
    """Hand events to their function again, with a fresh count of attempts. Ctrl-C stops it, and it says how to go on: what
    fails again meanwhile is not redriven twice.

    \b
    Example:
      edgectl deadletters redrive tank-1/7f3a9c01d2e4b586/42/tank-low
      edgectl deadletters redrive --all --function send-mail --rate 5/s --yes
    """
    said = selection(given)
    if bool(ids) == every:
        raise click.UsageError("name dead letters, or say --all")
    if ids and said.keys() - {"function"}:
        raise click.UsageError("filters go with --all")
    pause = redriving.pause(rate)
    if ids:
        chosen = [{"id": id, "function": said.get("function", "")} for id in ids]
    else:
        said.setdefault("until", int(time.time() * 1000) + 1)
        chosen = list(agent.items("deadletters", **said))[::-1]  # the oldest first: in the order they happened
        if chosen and not dry_run:
            confirm(f"Run {len(chosen)} events again?", yes=yes)
    if not chosen:
        click.echo("no dead letters", err=True)
        return
    redriving.redrive(agent, chosen, pause, dry_run=dry_run, again=redriving.words(said) if every else "")


@command.command()
@selecting
@click.option("--older-than", type=Moment(), help="The same as --until: 7d (ago), or a date.")
@destructive
@with_agent
def purge(agent: Agent, older_than: int | None, dry_run: bool, yes: bool, **given: Any) -> None:
    """Let dead letters go, for ever.

    \b
    Example:
      edgectl deadletters purge --older-than 30d --dry-run
      edgectl deadletters purge --function send-mail --kind expired
    """
    body = selection(given) | ({"older_than": older_than} if older_than else {})
    body.setdefault("until", int(time.time() * 1000) + 1)  # those that were counted, and none that died since
    count = agent.post("deadletters", "purge", body=body, dry_run="true")["purged"]
    if dry_run or not count:
        click.echo(f"{count} dead letters would be removed" if count else "no dead letters", err=not count)
        return
    confirm(f"Remove {count} dead letters?", yes=yes)
    click.echo(f"{agent.post('deadletters', 'purge', body=body)['purged']} dead letters are removed")
