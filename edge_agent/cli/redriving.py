"""Many dead letters handed over again, no faster than asked; stopped at any time, and gone on with."""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import click

from edge_agent.cli.client import Agent
from edge_agent.errors import Conflict, EdgeError, NotFound

_RATE = re.compile(r"(\d+(?:\.\d+)?)(?:/(s|m|h))?")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def pause(rate: str) -> float:
    """Seconds between two, of `10/s`, `100/m`, `5` (a second)."""
    found = _RATE.fullmatch(rate.strip())
    if found is None or float(found[1]) <= 0:
        raise click.BadParameter(f"{rate!r} is no rate; write for example 10/s or 100/m", param_hint="--rate")
    return _SECONDS[found[2] or "s"] / float(found[1])


def words(said: Mapping[str, Any]) -> str:
    """The command that goes on where this one stops."""
    options = " ".join(f"--{name} {shlex.quote(str(value))}" for name, value in said.items())
    return f"edgectl deadletters redrive --all {options}"


def redrive(agent: Agent, chosen: Sequence[Mapping[str, Any]], wait: float, *, dry_run: bool, again: str) -> None:
    """One by one; `again` is the command that goes on. Errors: the first one when one was named, else told at the end."""
    began, done, failed = time.monotonic(), 0, 0
    try:
        for number, letter in enumerate(chosen):
            if not dry_run:
                time.sleep(max(0.0, began + number * wait - time.monotonic()))
            try:
                _one(agent, letter, dry_run=dry_run)
            except (NotFound, Conflict) as error:
                if len(chosen) == 1:
                    raise
                failed += 1
                click.echo(f"{letter['id']}: {error}", err=True)
            else:
                done += 1
                _clear()
                click.echo(f"{letter['id']} {'would be' if dry_run else 'is'} handed over again")
            if sys.stderr.isatty() and len(chosen) > 1:
                click.echo(f"\r\x1b[K{number + 1} of {len(chosen)}", nl=False, err=True)
    except KeyboardInterrupt:
        _end(f"stopped after {done} of {len(chosen)}{f'; go on with:{chr(10)}  {again}' if again else ''}")
        raise click.exceptions.Exit(1) from None
    if len(chosen) > 1:
        _end(f"{done} of {len(chosen)} {'would be' if dry_run else 'are'} handed over again")
    if failed:
        raise EdgeError(f"{failed} could not be handed over again")


def _one(agent: Agent, letter: Mapping[str, Any], *, dry_run: bool) -> None:
    flag = "true" if dry_run else ""
    agent.post("deadletters", str(letter["id"]), "redrive", function=letter.get("function", ""), dry_run=flag)


def _clear() -> None:
    """Take the line that says how it goes off the terminal."""
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)


def _end(text: str) -> None:
    _clear()
    click.echo(text, err=True)


def took(phase: Mapping[str, Any]) -> str:
    """How long an attempt had the event."""
    if not phase.get("handed_over"):
        return "-"
    end = phase.get("answered") or phase.get("ended") or 0.0
    return f"{max(0.0, end - phase['handed_over']):.0f} ms" if end else "-"
