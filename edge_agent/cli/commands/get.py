"""Show rules or functions as they are declared."""

from __future__ import annotations

from typing import Any

import click

from edge_agent.cli import printing, standing
from edge_agent.cli.client import Agent
from edge_agent.cli.options import named, output, with_agent

NOUNS = {"rules": "rules", "rule": "rules", "functions": "functions", "function": "functions"}

COLUMNS: dict[str, list[printing.Column]] = {
    "rules": [
        ("name", lambda item: item["name"]),
        ("devices", lambda item: item["manifest"]["spec"].get("devices", "*")),
        ("reading", lambda item: item["manifest"]["spec"].get("reading")),
        ("condition", lambda item: condition(item["manifest"]["spec"])),
        ("severity", lambda item: item["manifest"]["spec"].get("severity", "warning")),
        ("run", lambda item: item["manifest"]["spec"].get("run", [])),
        ("firing", lambda item: item.get("firing", [])),
        ("from", standing.where),
    ],
    "functions": [
        ("name", lambda item: item["name"]),
        ("isolation", lambda item: item["manifest"]["spec"].get("isolation", "pod")),
        ("image", lambda item: item["manifest"]["spec"].get("image")),
        ("source", lambda item: item["manifest"]["spec"].get("source")),
        ("timeout", lambda item: item["manifest"]["spec"].get("timeout", "30s")),
        ("workers", lambda item: sum((item.get("workers") or {}).values())),
        ("queue", lambda item: item.get("queue", 0)),
        ("waits", standing.waits),
        ("from", standing.where),
    ],
}
_WORDS = ("above", "below", "outside", "equals", "changedBy", "ratePerMinute", "missingFor", "every", "for")


def condition(spec: dict[str, Any]) -> str:
    """`below 20 for 30s`."""
    return " ".join(word if spec[word] is True else f"{word} {spec[word]}" for word in _WORDS if word in spec)


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
    return named(NOUNS.get(ctx.params.get("noun", ""), "rules"))(ctx, param, incomplete)


@click.command()
@click.argument("noun", type=click.Choice(list(NOUNS)))
@click.argument("name", required=False, shell_complete=_complete)
@output()
@with_agent
def command(agent: Agent, noun: str, name: str | None, output: str) -> None:
    """Show rules or functions as they are declared. YAML can be edited and given back to `edgectl apply`.

    \b
    Example:
      edgectl get rules
      edgectl get function send-mail -o yaml > send-mail.yaml
    """
    route = NOUNS[noun]
    found = [agent.get(route, name)] if name else list(agent.items(route))
    if output == "yaml":
        from edge_agent.manifests.writing import dump_manifest

        click.echo("---\n".join(dump_manifest(item["manifest"]) for item in found), nl=False)
        return
    printing.items(found, output, COLUMNS[route], f"no {route} are declared")
