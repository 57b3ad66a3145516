"""`edgectl functions logs`: what workers print, by time and worker."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import click

from edge_agent.cli import printing
from edge_agent.cli.client import Agent
from edge_agent.cli.options import Moment, named, output, with_agent


@click.command()
@click.argument("name", shell_complete=named("functions"))
@click.option("--follow", "-f", is_flag=True, help="Go on with what is printed from now on, until Ctrl-C.")
@click.option("--since", type=Moment(), default="1h", show_default=True, help="From when: 10m (ago), or a date.")
@click.option("--tail", type=click.IntRange(0, 1000), default=0, help="Only the last so many lines; all when left out.")
@output()
@with_agent
def logs(agent: Agent, name: str, follow: bool, since: int, tail: int, output: str) -> None:
    """What a function's workers printed. The agent keeps the newest few hundred lines, in memory.

    \b
    Example:
      edgectl functions logs send-mail --since 10m
      edgectl functions logs send-mail --follow
    """
    if follow:
        try:
            for _, line in agent.stream("functions", name, "logs", "live", since=since, tail=tail or ""):
                _tell(name, line, output)
        except KeyboardInterrupt:
            return
        click.echo("the agent has ended the stream", err=True)
        return
    found = agent.get("functions", name, "logs", since=since, tail=tail or "")
    if output != "table":
        printing.items(found["items"], output, ())
        return
    if found["lost"] and not tail:
        click.echo(f"{found['lost']} older lines are not kept", err=True)
    for line in found["items"]:
        _tell(name, line, output)
    if not found["items"]:
        click.echo(f"{name} has printed nothing in that time", err=True)


def _tell(name: str, line: dict[str, Any], output: str) -> None:
    """One line; what a worker printed must not command a terminal."""
    if output == "json":
        click.echo(json.dumps(line, ensure_ascii=False))
    elif output == "yaml":
        click.echo(f"- {json.dumps(line, ensure_ascii=False)}")
    else:
        at = f"{time.strftime('%H:%M:%S', time.localtime(line['at'] / 1000))}.{line['at'] % 1000:03d}"
        worker = line["worker"].removeprefix(f"{name}-")[:6]
        text = printing.plain(line["text"].expandtabs()) if line["text"] else ""
        click.echo(f"{click.style(f'{at} {worker}', dim=True)}  {text}")
    sys.stdout.flush()
