"""Store manifests in the running agent; they are live at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from edge_agent.cli.client import Agent
from edge_agent.cli.options import with_agent

ROUTES = {"Function": "functions", "Rule": "rules"}


@click.command()
@click.option(
    "--file", "-f", "paths", multiple=True, required=True, type=click.Path(path_type=Path), help="File, folder, or -."
)
@click.option("--dry-run", is_flag=True, help="Let the agent judge them; change nothing.")
@with_agent
def command(agent: Agent, paths: tuple[Path, ...], dry_run: bool) -> None:
    """Store manifests in the running agent. Functions go first, then the rules that run them.

    \b
    Example:
      edgectl apply -f tank-low.yaml
      edgectl apply -f manifests/ --dry-run
    """
    from edge_agent.manifests import load_paths, parse_text

    if Path("-") in paths:
        if len(paths) > 1:
            raise click.UsageError("-f - is standard input, and stands alone")
        found = parse_text(sys.stdin.read(), "standard input", Path.cwd())
    else:
        found = load_paths(paths, alone=True)
    there = {(kind, item["name"]): item for kind, route in ROUTES.items() for item in agent.items(route)}
    for kind, name in sorted(found.documents, key=lambda key: (key[0] != "Function", key[1])):
        manifest = found.documents[kind, name]
        if kind == "Function" and found.functions[name].source:
            # The agent's manifest folder is another place than this one: relative paths would not mean the same there.
            manifest = {**manifest, "spec": {**manifest["spec"], "source": found.functions[name].source}}
        click.echo(
            f"{kind.lower()}/{name} {_store(agent, kind, name, manifest, there.get((kind, name)), dry_run=dry_run)}"
        )


def _store(agent: Agent, kind: str, name: str, manifest: Any, old: Any, *, dry_run: bool) -> str:
    """What happened, in a word."""
    if old and old["manifest"] == manifest:
        return "unchanged"
    headers = {"If-Match": f'"{old["version"]}"'} if old else {}
    query = {"dry_run": "true"} if dry_run else {}
    agent.request("PUT", (ROUTES[kind], name), body=manifest, query=query, headers=headers)
    word = "changed" if old else "created"
    return f"would be {word}" if dry_run else word
