"""Functions: new, deploy, versions, invoke, logs, scale, usage, list."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from edge_agent.cli import deploying, printing, reading, standing, using
from edge_agent.cli.client import Agent
from edge_agent.cli.options import named, output, with_agent, with_agent_by_socket

LANGUAGES = ("python", "node", "go", "rust", "java", "shell")
COLUMNS: list[printing.Column] = [
    ("name", lambda f: f["name"]),
    ("isolation", lambda f: f["manifest"]["spec"].get("isolation", "pod")),
    ("idle", lambda f: (f.get("workers") or {}).get("idle", 0)),
    ("busy", lambda f: (f.get("workers") or {}).get("busy", 0)),
    ("starting", lambda f: (f.get("workers") or {}).get("starting", 0)),
    ("min idle", standing.minimum),
    ("queue", lambda f: f"{f.get('queue', 0)}{'+' if f.get('on_disk') else ''}"),
    ("retrying", lambda f: f.get("retrying", 0)),
    ("waits", standing.waits),
    ("advice", lambda f: f.get("advice")),
    ("from", standing.where),
    ("last error", lambda f: f.get("last_error")),
]


@click.group()
def command() -> None:
    """Functions: make one, deploy it, call it, see what it prints and uses.

    \b
    Example:
      edgectl functions new tank-advice --language python
      edgectl functions deploy tank-advice/
      edgectl functions invoke tank-advice --data @tank-advice/event.json
    """


for found in (deploying.deploy, deploying.versions, reading.logs, using.usage):
    command.add_command(found)


@command.command()
@click.argument("name")
@click.option("--language", type=click.Choice(LANGUAGES), required=True, help="What it is written in.")
@click.option(
    "--dir",
    "parent",
    type=click.Path(path_type=Path),
    default=".",
    help="Make the folder in this one; here by default.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be written, write nothing.")
def new(name: str, language: str, parent: Path, dry_run: bool) -> None:
    """Make a folder with a function that works: handler, test, manifest, README, and an event to try it with.

    \b
    Example:
      edgectl functions new tank-advice --language python
      edgectl functions new fast-advice --language go --dir ~/functions
    """
    from edge_agent.cli import making

    folder = parent / name
    files = making.make(name, language, folder)
    if not dry_run:
        making.write(files)
    for path in files:
        click.echo(f"{'would write' if dry_run else 'wrote'} {path}")
    built = making.LANGUAGES[language].built
    steps = ["", "next:", f"  make -C {folder} {'build ' if built else ''}test", f"  edgectl functions deploy {folder}"]
    steps += [f"  edgectl functions invoke {name} --data @{folder}/event.json"]
    click.echo("\n".join(steps), err=True)


@command.command("list")
@output()
@with_agent
def list_(agent: Agent, output: str) -> None:
    """Every function, its workers and what waits for them (+: more on disk).

    \b
    Example:
      edgectl functions list -o json
    """
    none = "no functions are declared; edgectl functions new makes one"
    printing.items(agent.items("functions"), output, COLUMNS, none)


@command.command()
@click.argument("name", shell_complete=named("functions"))
@click.option("--min-idle", type=click.IntRange(0, 1000), help="So many workers wait for events.")
@click.option("--reset", "--auto", "reset", is_flag=True, help="As manifest and schedules say.")
@output()
@with_agent
def scale(agent: Agent, name: str, min_idle: int | None, reset: bool, output: str) -> None:
    """How many workers wait for events, whatever the manifest says, until --reset.

    \b
    Example:
      edgectl functions scale send-mail --min-idle 4
      edgectl functions scale send-mail --reset
    """
    if (min_idle is None) != reset:
        raise click.UsageError("say either --min-idle N or --reset")
    answer = agent.request("PUT", ("functions", name, "scale"), body={"min_idle": min_idle}).json()
    if output == "table":
        click.echo(f"{name}: {'as its manifest says' if reset else f'{min_idle} workers wait for events'}")
    else:
        printing.one(answer, output, ())


@command.command()
@click.argument("name", shell_complete=named("functions"))
@click.option("--data", "payload", default="{}", help="JSON, or @FILE, or @- for standard input.")
@click.option("--async", "later", is_flag=True, help="Do not wait; print the invocation's id.")
@with_agent_by_socket
def invoke(agent: Agent, name: str, payload: str, later: bool) -> None:
    """Run a function once and print its answer. JSON that is a whole CloudEvent is the event; other JSON becomes its data.

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
