"""Functions: list, invoke."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from edge_agent.cli import printing
from edge_agent.cli.client import Agent
from edge_agent.cli.options import named, output, with_agent, with_agent_by_socket

COLUMNS: list[printing.Column] = [
    ("name", lambda f: f["name"]),
    ("isolation", lambda f: f["manifest"]["spec"].get("isolation", "pod")),
    ("idle", lambda f: (f.get("workers") or {}).get("idle", 0)),
    ("busy", lambda f: (f.get("workers") or {}).get("busy", 0)),
    ("starting", lambda f: (f.get("workers") or {}).get("starting", 0)),
    ("queue", lambda f: f.get("queue", 0)),
    ("last error", lambda f: f.get("last_error")),
]


@click.group()
def command() -> None:
    """Functions: list, invoke.

    \b
    Example:
      edgectl functions list
      edgectl functions invoke send-mail --data '{"to": "me"}'
    """


@command.command("list")
@output()
@with_agent
def list_(agent: Agent, output: str) -> None:
    """Every function, its workers and what waits for them.

    \b
    Example:
      edgectl functions list -o json
    """
    printing.items(agent.items("functions"), output, COLUMNS, "no functions are declared")


@command.command()
@click.argument("name", shell_complete=named("functions"))
@click.option("--data", "payload", default="{}", help="JSON, or @FILE, or @- for standard input.")
@click.option("--async", "later", is_flag=True, help="Do not wait; print the invocation's id.")
@with_agent_by_socket
def invoke(agent: Agent, name: str, payload: str, later: bool) -> None:
    """Run a function once and print its answer.

    \b
    Example:
      edgectl functions invoke send-mail --data @event.json
      edgectl functions invoke send-mail --data '{"value": 18.2}' --async
    """
    body = _read(payload)
    headers = {"Content-Type": "application/json"} | ({"Prefer": "respond-async"} if later else {})
    answer = agent.request("POST", ("functions", name, "invocations"), body=body, headers=headers, timeout=900)
    if later:
        click.echo(answer.json()["id"])
    else:
        sys.stdout.buffer.write(answer.body + (b"" if answer.body.endswith(b"\n") else b"\n"))
        sys.stdout.buffer.flush()


def _read(payload: str) -> bytes:
    """The event's data. Not JSON: exit 2, before anything runs."""
    if payload == "@-":
        body = sys.stdin.buffer.read()
    elif payload.startswith("@"):
        body = Path(payload[1:]).read_bytes()
    else:
        body = payload.encode()
    try:
        parsed: Any = json.loads(body)
    except ValueError as error:
        raise click.BadParameter(f"is no JSON: {error}", param_hint="--data") from error
    return json.dumps(parsed).encode()
