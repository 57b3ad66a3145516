"""A board's papers: a broker user of its own and a configuration. Made, and made anew for its successor."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from edge_agent.cli import printing
from edge_agent.cli.client import Agent
from edge_agent.cli.options import confirm, destructive, named, with_agent
from edge_agent.errors import Conflict, Fault, Invalid, NotFound, Refused

ONLINE_WITHIN = 180_000
"""Milliseconds: a board that spoke this recently is not dead."""


def papers(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that `provision` and `replace` share."""
    for option in (
        click.option("--broker-users", type=click.Path(path_type=Path), help="Folder of the broker's passwd and acl."),
        click.option(
            "--output", type=click.Path(path_type=Path), help="Write the configuration there too (- prints it)."
        ),
        click.option("--config", type=click.Path(path_type=Path, exists=True), help="JSON with sensors and the like."),
        click.option(
            "--broker",
            default="",
            metavar="HOST",
            help="The appliance, as boards find it.  [default: HOSTNAME.local]",
        ),
        click.option(
            "--wifi-password-file", type=click.Path(path_type=Path, exists=True), help="File with its password."
        ),
        click.option("--ssid", default="", help="The Wi-Fi network it joins; the password is asked for."),
    ):
        function = option(function)
    return function


@click.command()
@click.argument("device")
@papers
@click.option("--dry-run", is_flag=True, help="Say what would happen, change nothing.")
@with_agent
def provision(agent: Agent, device: str, dry_run: bool, **given: Any) -> None:
    """Give a new board a name, a broker user that may speak only for itself, and a configuration.

    \b
    Example:
      edgectl devices provision tank-1 --ssid home
      edgectl devices provision tank-1 --ssid home --config sensors.json
    """
    boards = boards_of(agent)
    if boards.file(device).exists():
        raise Conflict(f"{device} has been provisioned; edgectl devices replace {device} puts a new board in its place")
    config = _config(agent, device, {}, **given)
    _issue(agent, device, config, given, dry_run=dry_run)


@click.command()
@click.argument("device", shell_complete=named("devices"))
@papers
@destructive
@with_agent
def replace(agent: Agent, device: str, dry_run: bool, yes: bool, **given: Any) -> None:
    """Put a new board in a dead one's place: its name, its history, its configuration. The old one's password ends.

    \b
    Example:
      edgectl devices replace tank-1
      edgectl devices replace tank-1 --ssid new-network
    """
    known = agent.get("devices", device)
    boards = boards_of(agent)
    try:
        before = boards.read(device)
    except NotFound:
        before = {}
    config = _config(agent, device, before, **given)
    seen = known.get("last_seen")
    alive = known.get("online") or (seen and 1000 * time.time() - seen < ONLINE_WITHIN)
    if alive:
        click.echo(f"{device} is alive (last seen {printing.ago(seen)}): it will be thrown out", err=True)
    if not dry_run:
        confirm(f"Replace {device} (last seen {printing.ago(seen)})?", yes=yes)
    _issue(agent, device, config, given, dry_run=dry_run)


def data_of(agent: Agent) -> Path:
    """The agent's data folder. Raises `Refused` where the agent is on another machine."""
    if not isinstance(agent.target, Path):
        raise Refused("a board's papers are made on the appliance itself: run this there, without --url")
    return agent.target.parent


def boards_of(agent: Agent) -> Any:
    from edge_agent.app.boards import Boards

    return Boards(data_of(agent))


def _config(agent: Agent, device: str, before: dict[str, Any], **given: Any) -> dict[str, Any]:
    """What the board is to know, checked by its own rules; without the password, which is made last."""
    from edge_agent.adapters.boards_micropython import Firmware

    status = agent.get("status")
    config = {**before, **_more(given["config"])}
    config |= {"site": status["site"], "device": device, "port": _port(status)}
    config["broker"] = given["broker"] or config.get("broker") or f"{socket.gethostname().lower()}.local"
    if given["ssid"]:
        secret = _wifi_password(given["ssid"], given["wifi_password_file"])
        others = [net for net in config.get("networks", []) if net.get("ssid") != given["ssid"]]
        config["networks"] = [{"ssid": given["ssid"], "password": secret}, *others]
    Firmware().check(config, str(given["config"] or "the configuration"))
    return config


def _issue(agent: Agent, device: str, config: dict[str, Any], given: dict[str, Any], *, dry_run: bool) -> None:
    """Make the user, keep the configuration, say what comes next."""
    from edge_agent.adapters.mosquitto_process import BoardUsers

    boards = boards_of(agent)
    users = BoardUsers(given["broker_users"] or data_of(agent) / "broker")
    users.ready()
    if dry_run:
        click.echo(f"{device} would get a broker user and {boards.file(device)}")
        return
    config |= {"user": device, "password": users.make(device)}
    file = boards.keep(device, config)
    match given["output"]:
        case None:
            pass
        case Path() as path if str(path) == "-":
            click.echo(json.dumps(config, indent=1))
        case path:
            boards.copy(device, path)
    networks = ", ".join(net["ssid"] for net in config.get("networks", [])) or "none: it will open a portal of its own"
    click.echo(
        f"{device} may speak to {config['broker']}:{config['port']} for itself only; Wi-Fi: {networks}", err=True
    )
    click.echo(
        f"its configuration is in {file}; next, with the board on a cable: edgectl devices flash {device}", err=True
    )


def _more(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise Invalid([Fault(str(file), error.lineno, error.colno, "JSON", error.msg)]) from None
    if not isinstance(found, dict):
        raise Invalid([Fault(str(file), 1, 1, "JSON", "is no object", 'write {"sensors": {...}}')])
    return found


def _port(status: dict[str, Any]) -> int:
    return int(str(status["broker"]["address"]).rpartition(":")[2])


def _wifi_password(ssid: str, file: Path | None) -> str:
    """From its file, asked for on a terminal, or the first line of standard input. Never an option: others see those."""
    if file:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    if sys.stdin.isatty():
        typed: str = click.prompt(f"Password of {ssid}", hide_input=True, default="", show_default=False, err=True)
        return typed
    return sys.stdin.readline().rstrip("\r\n")
