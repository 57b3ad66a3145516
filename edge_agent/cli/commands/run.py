"""Everything on this machine: a broker, the agent, its page and simulated boards."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from edge_agent.cli.options import home_data


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="Configuration file (TOML).")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Folder for everything that is kept.  [default: XDG data]"
)
@click.option("--manifests", type=click.Path(path_type=Path), help="Folder of rules and functions.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the page; the next free one when taken.")
@click.option("--mqtt-port", type=click.IntRange(0, 65535), help="Port of the broker; the next free one when taken.")
@click.option(
    "--demo/--no-demo", default=None, help="Simulated boards and a rule to watch; on unless --manifests is given."
)
@click.option("--devices", type=click.IntRange(1, 10_000), default=5, show_default=True, help="How many boards.")
@click.option("--lan", is_flag=True, help="Open page and broker to the network; the broker then asks for a password.")
def command(
    config: Path | None,
    data: Path | None,
    manifests: Path | None,
    port: int | None,
    mqtt_port: int | None,
    demo: bool | None,
    devices: int,
    lan: bool,
) -> None:
    """Everything on this machine: a broker, the agent, its page and simulated boards. Ctrl-C stops it.

    Serves this machine only, unless --lan is given. What is measured and declared is kept in --data, and is there again next
    time.

    \b
    Example:
      edgectl run
      edgectl run --port 8181 --devices 20
      edgectl run --lan --no-demo --manifests ./manifests
    """
    from edge_agent import logs
    from edge_agent.cli.household import Household
    from edge_agent.cli.serving import Signals, log_configuration
    from edge_agent.settings import load

    options: dict[str, object] = {
        "data.dir": data.expanduser().absolute() if data else None,
        "manifests.dir": manifests.expanduser().absolute() if manifests else None,
        "web.port": port,
        "mqtt.port": mqtt_port,
        "web.host": "0.0.0.0" if lan else None,  # noqa: S104 - --lan asks for exactly that
        "functions.by_api": None if lan else True,
    }
    loaded = load(config, os.environ, options)
    if loaded.provenance["data.dir"] == "default":
        loaded = load(config, os.environ, options | {"data.dir": home_data()})
    logs.set_up(loaded.settings.log.format, loaded.settings.log.level)
    log_configuration(loaded, everything=False)
    wants_demo = demo if demo is not None else not manifests
    household = Household(loaded, lan=lan, boards=devices if wants_demo else 0)
    signals = Signals()
    try:
        household.start()
        if not signals.stopping:
            household.introduce(sys.stdout)
            signals.until_stop()
        click.echo("stopping", err=True)
    finally:
        household.stop()
