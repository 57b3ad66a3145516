"""Where `publish` and `simulate` send to: the broker of the agent they talk to, or one that is named."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import click

from edge_agent.cli.client import Agent
from edge_agent.cli.options import with_agent
from edge_agent.errors import EdgeError

F = TypeVar("F", bound=Callable[..., Any])


def with_broker(function: F) -> F:
    """Give a command `links` (connections to the broker) and `site`, and the options that choose them."""

    @functools.wraps(function)
    def command(agent: Agent, **given: Any) -> Any:
        from edge_agent.adapters.board_paho import BoardLinks

        host, port, site = given.pop("mqtt"), 0, given.pop("site")
        username, password = given.pop("mqtt_user"), _password(given.pop("mqtt_password_file"))
        if not host or not site:
            status = agent.get("status")
            site = site or status["site"]
            host = host or status["broker"]["address"]
            if not username and isinstance(agent.target, Path):
                username, password = _own(agent.target.parent)
        host, _, text = host.rpartition(":") if ":" in host else (host, "", "1883")
        if not text.isdigit():
            raise click.BadParameter(f"{text!r} is no port; write HOST:PORT", param_hint="--mqtt")
        port = int(text)
        with closing(BoardLinks(host, port, username=username or None, password=password or None)) as links:
            return function(links=links, site=site, **given)

    wrapped: Any = with_agent(command)
    for option in (
        click.option(
            "--mqtt-password-file", type=click.Path(path_type=Path, exists=True), help="File with its password."
        ),
        click.option("--mqtt-user", default="", help="User at that broker."),
        click.option("--site", default="", help="Site in the topics; the agent's when left out."),
        click.option("--mqtt", default="", metavar="HOST:PORT", help="Send to this broker; the agent's when left out."),
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]


def _password(file: Path | None) -> str:
    return file.read_text(encoding="utf-8").strip() if file else ""


def _own(data: Path) -> tuple[str, str]:
    """The user `edgectl run --lan` made for the agent at its own broker; none when it asks for nobody."""
    from edge_agent.adapters.mosquitto_process import AGENT

    file = data / "broker" / "agent.password"
    return (AGENT, _password(file)) if file.exists() else ("", "")


def unreached(problem: str) -> EdgeError:
    """What to say when nothing came back."""
    why = f" ({problem})" if problem else ""
    return EdgeError(f"the agent has not confirmed it{why}: is it running, and is this its broker? edgectl doctor")
