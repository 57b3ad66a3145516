"""The phases one reading went through, with times."""

from __future__ import annotations

from typing import Any

import click

from edge_agent.cli import printing
from edge_agent.cli.client import Agent
from edge_agent.cli.options import output, with_agent


@click.command()
@click.argument("id")
@output()
@with_agent
def command(agent: Agent, id: str, output: str) -> None:
    """The phases one reading went through: received, decoded, on disk, acknowledged, matched, ... alert out.

    ID is DEVICE/BOOT/SEQ, or an event's id; logs, alerts and invocations carry it.

    \b
    Example:
      edgectl trace tank-1/7f3a9c01d2e4b586/42
    """
    found: dict[str, Any] = agent.get("trace", id)
    if output != "table":
        printing.one(found, output, ())
        return
    phases = found.get("phases", [])
    first = phases[0]["at"] if phases else 0.0
    columns: list[printing.Column] = [
        ("phase", lambda phase: phase["phase"]),
        ("at", lambda phase: f"{printing.when(phase['at'])}.{int(phase['at'] % 1000):03d}"),
        ("after", lambda phase: f"{phase['at'] - first:.2f} ms"),
        ("detail", lambda phase: phase.get("detail")),
    ]
    click.echo(found["id"])
    printing.items(phases, output, columns, "its phases are not remembered any more")
    for noun in ("alerts", "invocations"):
        for item in found.get(noun) or []:
            said = item.get("message") or item.get("reason") or item.get("function") or ""
            click.echo(f"{noun.removesuffix('s')} {item.get('id')}: {item.get('state')} {said}".rstrip())
