"""Boards that are not there: readings of realistic shape, or a recorded series."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_agent.cli import printing
from edge_agent.cli.broker import unreached, with_broker
from edge_agent.cli.options import Duration, output

if TYPE_CHECKING:
    from edge_agent.adapters.board_paho import BoardLinks
    from edge_agent.simulator.fleet import Fleet


def _profiles(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    from edge_agent.simulator.profiles import known

    return [name for name in known() if name.startswith(incomplete)]


@click.command()
@click.option("--devices", type=click.IntRange(1, 10_000), default=3, show_default=True, help="How many boards.")
@click.option(
    "--rate", type=click.FloatRange(0.001, 10_000), default=1.0, show_default=True, help="Messages per second, each."
)
@click.option("--profile", help="What they measure; a mix when left out.", shell_complete=_profiles)
@click.option("--replay", type=click.Path(path_type=Path), help="Play this CSV (time, one column per reading) instead.")
@click.option(
    "--speed", type=click.FloatRange(0), default=1.0, show_default=True, help="With --replay: how fast; 0 = at once."
)
@click.option("--shift", is_flag=True, help="With --replay: as if it were measured now.")
@click.option("--device", default="", help="With --replay: the board's name; the file's when left out.")
@click.option("--duration", type=Duration(), help="Stop after this long; Ctrl-C when left out.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed measures the same.")
@click.option("--no-faults", is_flag=True, help="Boards that are always right.")
@output()
@with_broker
def command(links: BoardLinks, site: str, output: str, **given: Any) -> None:
    """Send readings as boards would: real MQTT clients that keep each reading until the agent has it on disk.

    \b
    Example:
      edgectl simulate --devices 20 --rate 2 --profile water-level --duration 5m
      edgectl simulate --replay seattle.csv --speed 3600
    """
    from edge_agent.simulator.faults import Rates
    from edge_agent.simulator.fleet import Fleet
    from edge_agent.simulator.replay import Replay

    series = Replay(given["replay"], speed=given["speed"], shift=given["shift"]) if given["replay"] else None
    fleet = Fleet(
        links,
        site,
        devices=0 if series else given["devices"],
        rate=given["rate"],
        profile=given["profile"],
        seed=given["seed"],
        duration=given["duration"],
        rates=Rates.none() if given["no_faults"] else None,
    )
    fleet.start()
    try:
        if series:
            fleet.replay(given["device"] or series.device, series)
        else:
            _watch(fleet)
    except KeyboardInterrupt:
        click.echo("stopping", err=True)
    safe = fleet.stop()
    stats = fleet.stats()
    printing.one(stats, output, stats.items())
    if not safe:
        raise unreached(next(iter(fleet.problems().values()), ""))


def _watch(fleet: Fleet) -> None:
    """Wait for the end; on a terminal say how it goes."""
    shown = sys.stderr.isatty()
    while not fleet.wait(1.0):
        if shown:
            stats = fleet.stats()
            problems = fleet.problems()
            trouble = (
                f"  {len(problems)} boards without a connection: {next(iter(problems.values()))}" if problems else ""
            )
            click.echo(f"\r\x1b[K{time.strftime('%H:%M:%S')}  {_line(stats)}{trouble}", nl=False, err=True)
    if shown:
        click.echo("", err=True)


def _line(stats: dict[str, int]) -> str:
    return "  ".join(f"{name} {count}" for name, count in stats.items())
