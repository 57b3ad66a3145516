"""Every health check: what is wrong, and what to do."""

from __future__ import annotations

import shutil
from typing import Any

import click

from edge_agent.cli import printing
from edge_agent.cli.client import Agent
from edge_agent.cli.options import output, with_agent
from edge_agent.cli.unreachable import NotReachable


@click.command()
@output()
@with_agent
def command(agent: Agent, output: str) -> None:
    """Every health check: what is wrong, and what to do. Exit code 1 when something is wrong.

    \b
    Example:
      edgectl doctor
    """
    try:
        found = list(agent.items("checks"))
    except NotReachable:
        for line in without_agent(agent):
            click.echo(line, err=True)
        raise
    columns: list[printing.Column] = [
        ("check", lambda check: check["check"]),
        ("", lambda check: "ok" if check["ok"] else "WRONG"),
        ("finding", lambda check: check["summary"]),
        ("try this", lambda check: check.get("try_this")),
    ]
    printing.items(found, output, columns)
    if not all(check["ok"] for check in found):
        raise click.exceptions.Exit(1)


def without_agent(agent: Agent) -> list[str]:
    """What can be seen from outside when no agent answers."""
    found: list[Any] = []
    if not isinstance(agent.target, str):
        folder = agent.target.parent
        found.append(f"data folder: {folder}" if folder.is_dir() else f"data folder: {folder} does not exist yet")
        if folder.is_dir():
            free = shutil.disk_usage(folder).free / 2**30
            found.append(f"disk: {free:.1f} GiB free")
    mosquitto = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    found.append(f"mosquitto: {mosquitto or 'not installed (sudo apt install mosquitto)'}")
    return found
