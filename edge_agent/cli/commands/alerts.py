"""What fires: list, acknowledge, silence, test."""

from __future__ import annotations

import time
from typing import Any

import click

from edge_agent.cli import printing
from edge_agent.cli.client import Agent
from edge_agent.cli.options import Duration, named, output, with_agent

COLUMNS: list[printing.Column] = [
    ("id", lambda alert: alert["id"]),
    ("state", lambda alert: alert["state"] + (" (late)" if alert.get("late") else "")),
    ("severity", lambda alert: alert.get("severity")),
    ("since", lambda alert: printing.when(alert.get("since"))),
    ("until", lambda alert: printing.when(alert.get("until"))),
    ("message", lambda alert: alert.get("message")),
    ("seen by", lambda alert: alert.get("acked_by")),
]


@click.group()
def command() -> None:
    """What fires: list, acknowledge, silence, test.

    \b
    Example:
      edgectl alerts list --state firing
      edgectl alerts silence tank-low --device tank-1 --for 2h
    """


@command.command("list")
@click.option("--state", type=click.Choice(["firing", "resolved"]), help="Only these.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most this many.")
@output()
@with_agent
def list_(agent: Agent, state: str | None, limit: int, output: str) -> None:
    """Alerts, newest first.

    \b
    Example:
      edgectl alerts list --state firing -o json
    """
    found = agent.items("alerts", limit=limit, state=state or "")
    printing.items(found, output, COLUMNS, f"no alerts{' are ' + state if state else ''}")


@command.command()
@click.argument("ids", nargs=-1, required=True, shell_complete=named("alerts", key="id"))
@with_agent
def ack(agent: Agent, ids: tuple[str, ...]) -> None:
    """Say that somebody has seen an alert.

    \b
    Example:
      edgectl alerts ack tank-1/7f3a9c01d2e4b586/42/tank-low
    """
    for id_ in ids:
        found = agent.post("alerts", id_, "ack")
        click.echo(f"{id_} was seen by {found.get('acked_by') or 'you'}")


@command.command()
@click.argument("rule", shell_complete=named("rules"))
@click.option("--device", default="*", show_default=True, help="On this board only.", shell_complete=named("devices"))
@click.option("--for", "length", type=Duration(), default="1h", show_default=True, help="How long.")
@with_agent
def silence(agent: Agent, rule: str, device: str, length: float) -> None:
    """Keep a rule quiet for a while. It is still judged, and its alerts are still kept.

    \b
    Example:
      edgectl alerts silence tank-low --device tank-1 --for 2h
    """
    until = int((time.time() + length) * 1000)
    agent.post("alerts", "silences", body={"rule": rule, "device": device, "until": until})
    click.echo(f"{rule} on {'every board' if device == '*' else device} is quiet until {printing.when(until)}")


@command.command()
@click.option(
    "--severity", type=click.Choice(["info", "warning", "critical"]), default="info", show_default=True, help="As this."
)
@with_agent
def test(agent: Agent, severity: str) -> None:
    """Raise a test alert on every channel.

    \b
    Example:
      edgectl alerts test --severity critical
    """
    told: dict[str, Any] = agent.post("alerts", "test", body={"severity": severity})
    click.echo(f"a test alert is out{': ' + str(told['id']) if told.get('id') else ''}")
