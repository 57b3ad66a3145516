"""What a board measured, as a table, a plot or CSV."""

from __future__ import annotations

import time
from collections import defaultdict
from operator import itemgetter
from typing import Any

import click

from edge_agent.cli import plots, printing
from edge_agent.cli.client import Agent
from edge_agent.cli.options import Duration, Moment, named, output, with_agent


@click.command()
@click.argument("device", shell_complete=named("devices"))
@click.option("--reading", default="", help="Only this one.")
@click.option("--since", type=Moment(), default="1h", show_default=True, help="From when: 1h (ago), or a date.")
@click.option("--until", type=Moment(), help="Up to when; now.")
@click.option("--step", type=Duration(), help="Averages over this long instead of every value.")
@click.option("--plot", "plotted", is_flag=True, help="Draw them.")
@output("csv")
@with_agent
def command(
    agent: Agent,
    device: str,
    reading: str,
    since: int,
    until: int | None,
    step: float | None,
    plotted: bool,
    output: str,
) -> None:
    """What a board measured, oldest first.

    \b
    Example:
      edgectl readings tank-1 --reading level --since 24h --step 10m --plot
      edgectl readings tank-1 --since 7d --output csv > tank-1.csv
    """
    query: dict[str, Any] = {
        "reading": reading,
        "since": since,
        "until": until or int(time.time() * 1000),
        "step": int(step * 1000) if step else "",
    }
    found = list(agent.items("devices", device, "readings", **query))
    for item in found:
        item.setdefault("reading", reading)
    if plotted and output == "table":
        for name, points in series(found).items():
            click.echo("\n".join(plots.plot(points, f"{device} {name}")))
        return
    columns: list[printing.Column] = [
        ("time", lambda item: printing.when(item["t"])),
        ("reading", lambda i: i["reading"]),
    ]
    if output == "csv":
        columns[0] = ("t", lambda item: item["t"])
    columns += [(key, itemgetter(key)) for key in (("mean", "min", "max", "count") if step else ("value",))]
    printing.items(found, output, columns, f"{device} has no readings in that time")
    if output == "table" and found:
        for name, points in series(found).items():
            click.echo(f"\n{name}  {plots.sparkline([value for _, value in points], 60)}", err=False)


def series(found: list[dict[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """The numbers of each reading, for drawing."""
    drawn: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for item in found:
        value = item.get("value", item.get("mean"))
        if isinstance(value, (int, float)):
            drawn[item["reading"]].append((item["t"], float(value)))
    return dict(drawn)
