"""One screen of how things are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from edge_agent.cli import printing, standing
from edge_agent.cli.client import Agent
from edge_agent.cli.options import output, with_agent
from edge_agent.domain.durations import format_duration
from edge_agent.domain.quantities import format_size


@click.command()
@output()
@with_agent
def command(agent: Agent, output: str) -> None:
    """One screen of how things are.

    \b
    Example:
      edgectl status
      edgectl status -o json | jq .alarms
    """
    found: dict[str, Any] = agent.get("status")
    printing.one(found, output, rows(found))
    if output == "table":
        for alarm in found.get("alarms") or []:
            printing.console().print(f"! {alarm.get('name')}: {alarm.get('summary')}", style="red", markup=False)


def rows(found: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """Plain values as they are, groups of them on one line, each function on its own."""
    for name, value in found.items():
        if name == "functions" and isinstance(value, dict):
            for function, state in value.items():
                yield f"function {function}", said(standing.told(state))
        elif name == "uptime_s":
            yield "uptime", format_duration(float(int(value)))
        elif isinstance(value, dict):
            yield name.replace("_", " "), said(value)
        elif name not in ("alarms", "time"):
            yield name.replace("_", " "), value


def said(group: dict[str, Any]) -> str:
    """A group in one line: what is empty or zero is left out, moments are told as how long ago."""
    parts = []
    for key, value in group.items():
        words = key.removesuffix("_at").replace("_", " ")
        if value in (None, "", {}, [], 0, False) and key not in ("connected", "count", "firing"):
            continue
        if isinstance(value, dict):
            parts.append(said(value).removeprefix("-"))
        elif key.endswith("_at") or key == "since":
            parts.append(f"{words} {printing.ago(value)}")
        elif key == "bytes":
            parts.append(format_size(value))
        elif key == "connected":
            parts.append("connected" if value else "NOT CONNECTED")
        else:
            parts.append(f"{words} {printing.plain(value)}")
    return ", ".join(part for part in parts if part) or "-"
