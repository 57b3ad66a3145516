"""Boards: list, show, rename, forget; provision, replace, flash, monitor."""

from __future__ import annotations

from typing import Any

import click

from edge_agent.cli import printing
from edge_agent.cli.boards import COMMANDS
from edge_agent.cli.client import Agent
from edge_agent.cli.options import confirm, destructive, named, output, with_agent

DEVICE = named("devices")


def presence(device: dict[str, Any]) -> str:
    """What the board's `status` topic says; boards that do not say are unknown."""
    return {True: "online", False: "offline", None: "-"}[device.get("online")]


def value(reading: dict[str, Any]) -> str:
    unit = reading.get("unit") or ""
    return f"{printing.plain(reading.get('value'))} {unit}".strip()


@click.group()
def command() -> None:
    """Boards, from the first flashing to the last reading.

    \b
    Example:
      edgectl devices list
      edgectl devices provision tank-1 --ssid home
      edgectl devices flash tank-1
      edgectl devices show tank-1
    """


@command.command("list")
@output()
@with_agent
def list_(agent: Agent, output: str) -> None:
    """Every board heard of, and its last values.

    \b
    Example:
      edgectl devices list -o json
    """
    columns: list[printing.Column] = [
        ("name", lambda device: device["name"]),
        ("label", lambda device: device.get("label")),
        ("status", presence),
        ("last seen", lambda device: printing.ago(device.get("last_seen"))),
        ("model", lambda device: device.get("model")),
        ("firmware", lambda device: device.get("firmware")),
        ("readings", lambda device: [f"{k} {value(r)}" for k, r in (device.get("readings") or {}).items()]),
    ]
    printing.items(
        agent.items("devices"), output, columns, "no board has been heard of; edgectl publish sends as one would"
    )


@command.command()
@click.argument("device", shell_complete=DEVICE)
@output()
@with_agent
def show(agent: Agent, device: str, output: str) -> None:
    """One board.

    \b
    Example:
      edgectl devices show tank-1
    """
    found = agent.get("devices", device)
    rows: list[tuple[str, object]] = [
        ("name", found["name"]),
        ("label", found.get("label")),
        ("status", presence(found)),
        ("last seen", printing.ago(found.get("last_seen"))),
        ("model", found.get("model")),
        ("firmware", found.get("firmware")),
        ("dialect", found.get("dialect")),
    ]
    for name, reading in (found.get("readings") or {}).items():
        rows.append((name, f"{value(reading)}  ({printing.ago(reading.get('t'))})"))
    printing.one(found, output, rows)


@command.command()
@click.argument("device", shell_complete=DEVICE)
@click.argument("label")
@with_agent
def rename(agent: Agent, device: str, label: str) -> None:
    """Give a board a label for people. Its name in topics and rules stays.

    \b
    Example:
      edgectl devices rename tank-1 "Rain water, north side"
    """
    agent.request("PATCH", ("devices", device), body={"label": label})
    click.echo(f"{device} is called {label}")


@command.command()
@click.argument("device", shell_complete=DEVICE)
@destructive
@with_agent
def forget(agent: Agent, device: str, dry_run: bool, yes: bool) -> None:
    """Remove a board and all its readings. It comes back when it publishes again.

    \b
    Example:
      edgectl devices forget tank-9 --dry-run
    """
    readings = agent.request("DELETE", ("devices", device), query={"dry_run": "true"}).json().get("readings", 0)
    if dry_run:
        click.echo(f"{device} and {readings} readings would be removed")
        return
    confirm(f"Remove {device} and {readings} readings?", yes=yes)
    agent.request("DELETE", ("devices", device))
    click.echo(f"{device} and {readings} readings are removed")


for _each in COMMANDS:
    command.add_command(_each)
