"""Send one message as a board would, and wait until it is safe."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from edge_agent.cli.broker import unreached, with_broker
from edge_agent.cli.options import Moment, named
from edge_agent.domain.topics import is_name, to_name

if TYPE_CHECKING:
    from edge_agent.adapters.board_paho import BoardLinks
    from edge_agent.domain.reading import Value

PATIENCE = 10.0


@click.command()
@click.argument("device", shell_complete=named("devices"))
@click.argument("readings", nargs=-1, required=True, metavar="KEY=VALUE...")
@click.option("--at", type=Moment(), help="When it was measured: 5m (ago), or a date; now when left out.")
@with_broker
def command(links: BoardLinks, site: str, device: str, readings: tuple[str, ...], at: int | None) -> None:
    """Send one message as a board would, over MQTT, and wait until the agent has it on disk.

    \b
    Example:
      edgectl publish tank-1 level=18.2 pump=false
      edgectl publish tank-1 level=17 --at 10m
    """
    from edge_agent.simulator.fleet import send

    values = dict(parse(reading) for reading in readings)
    _check(device, "device")
    if not send(links, site, device, values, t=at, timeout=PATIENCE):
        raise unreached("")
    told = " ".join(f"{name}={value}" for name, value in values.items())
    click.echo(f"{device}: {told} is on disk")


def parse(text: str) -> tuple[str, Value]:
    """`level=18.2`, `door=true`, `state=idle`."""
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} has no =; write for example level=18.2", param_hint="KEY=VALUE")
    _check(name, "reading")
    if value.lower() in ("true", "false"):
        return name, value.lower() == "true"
    try:
        number = float(value)
    except ValueError:
        if not value or len(value) > 256:
            raise click.BadParameter(f"{name} must be 1 to 256 characters", param_hint="KEY=VALUE") from None
        return name, value
    if not math.isfinite(number):
        raise click.BadParameter(f"{name}={value} is no number a sensor measures", param_hint="KEY=VALUE")
    return name, int(value) if value.lstrip("+-").isdigit() else number


def _check(name: str, noun: str) -> None:
    if not is_name(name):
        hint = f"; {to_name(name)} would be one" if to_name(name) else ""
        raise click.BadParameter(f"{name!r} is no name of a {noun} (1 to 63 of a-z, 0-9 and -){hint}", param_hint=noun)
