"""Options that many commands share, each declared once."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from edge_agent.cli.client import Agent
from edge_agent.domain.durations import parse_duration
from edge_agent.errors import EdgeError

F = TypeVar("F", bound=Callable[..., Any])
CONNECTION = ("url", "token", "token_file", "ca", "socket", "data")
SERVICE_DATA = Path("/var/lib/edge-agent")


class Duration(click.ParamType[float]):
    """`30s`, `5m`, `24h`, `7d`: seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, (int, float)):
            return float(value)
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Moment(click.ParamType[int]):
    """A point in time: `1h` (ago), `2026-11-23T10:00` (local unless it says otherwise), or epoch milliseconds: epoch ms."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from datetime import datetime

        if isinstance(value, int):
            return value
        if value.isdigit() and len(value) >= 12:
            return int(value)
        try:
            return int((time.time() - parse_duration(value)) * 1000)
        except ValueError:
            try:
                return int(datetime.fromisoformat(value).timestamp() * 1000)
            except ValueError:
                self.fail(f"{value!r} is no time; write 1h (ago) or 2026-11-23T10:00", param, ctx)


def home_data() -> Path:
    """Where `edgectl run` keeps its data: XDG Base Directory Specification, user data."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "edge-agent"


def data_dir(given: Path | None = None) -> Path:
    """The data folder of the agent that is meant: named, or whichever has a socket, ours before the service's."""
    if given or os.environ.get("EDGE_DATA__DIR"):
        return (given or Path(os.environ["EDGE_DATA__DIR"])).expanduser().absolute()
    homes = (home_data(), SERVICE_DATA)
    return next((home for home in homes if _is_there(home / "agent.sock")), homes[0])


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:  # a service's folder others may not enter: it is there, and opening it will say so
        return True


def agent_of(**given: Any) -> Agent:
    """The agent the connection options name."""
    token = given.get("token") or os.environ.get("EDGECTL_TOKEN", "")
    if file := given.get("token_file"):
        token = Path(file).read_text(encoding="utf-8").strip()
    url = given.get("url") or os.environ.get("EDGECTL_URL", "")
    if url and not url.startswith(("http://", "https://")):
        raise EdgeError(f"{url} is no address; write it with http:// or https://")
    local = (given.get("socket") or data_dir(given.get("data")) / "agent.sock").absolute()
    target: Path | str = url.rstrip("/") if url else local
    ca = given.get("ca") or os.environ.get("EDGECTL_CA")
    return Agent(target, token if url else "", Path(ca) if ca else None)


def with_agent(function: F) -> F:
    """Give a command the connection options, and an `Agent` as its first argument."""
    option = click.option("--data", type=click.Path(path_type=Path), help="Data folder of the agent to talk to.")
    return option(with_agent_by_socket(function))


def with_agent_by_socket(function: F) -> F:
    """The same without `--data`, for commands that use that word for something else."""

    @functools.wraps(function)
    def command(**given: Any) -> Any:
        connection = {name: given.pop(name, None) for name in CONNECTION}
        return function(agent_of(**connection), **given)

    for option in (
        click.option("--socket", type=click.Path(path_type=Path), help="Local socket of the agent to talk to."),
        click.option("--ca", type=click.Path(path_type=Path), help="PEM file of the CA of --url (EDGECTL_CA)."),
        click.option("--token-file", type=click.Path(path_type=Path, exists=True), help="File holding the token."),
        click.option("--token", help="Token for --url (EDGECTL_TOKEN); a file is better."),
        click.option("--url", help="Talk to the agent at this address (EDGECTL_URL) instead of the local socket."),
    ):
        command = option(command)
    return command  # type: ignore[return-value]


def output(*forms: str) -> Callable[[F], F]:
    """`--output`; table is the default."""
    choice = click.Choice(["table", "json", "yaml", *forms])
    return click.option("--output", "-o", type=choice, default="table", show_default=True, help="How to print.")


def destructive(function: F) -> F:
    """`--dry-run` and `--yes`; the command calls `confirm`."""
    function = click.option("--yes", "-y", is_flag=True, help="Do not ask.")(function)
    return click.option("--dry-run", is_flag=True, help="Say what would happen, change nothing.")(function)


def confirm(question: str, *, yes: bool) -> None:
    """Go on only with a person's word for it."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody is there to ask: add --yes, or --dry-run to look first.")
    click.confirm(question, abort=True, err=True)


def named(*path: str, key: str = "name") -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Completion from the running agent's list at `path`; nothing when none answers at once."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        connection = {name: ctx.params.get(name) for name in CONNECTION}
        try:
            page = agent_of(**connection).request("GET", path, timeout=1.0).json()
        except (EdgeError, OSError, ValueError):
            return []
        items = page if isinstance(page, list) else page.get("items", [])
        return [CompletionItem(item[key]) for item in items if str(item.get(key, "")).startswith(incomplete)]

    return complete
