"""Rules: would this one have woken me? test, replay."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from edge_agent.cli import plots, printing
from edge_agent.cli.client import Agent
from edge_agent.cli.options import Moment, named, output, with_agent
from edge_agent.errors import NotFound

MARKS = {"firing": "▲", "resolved": "▽"}
COLUMNS: list[printing.Column] = [
    ("time", lambda match: printing.when(match["at"])),
    ("state", lambda match: match["state"] + (" (late)" if match.get("late") else "")),
    ("device", lambda match: match["device"]),
    ("value", lambda match: match.get("value")),
    ("message", lambda match: match.get("message")),
]


@click.group()
def command() -> None:
    """Rules: would this one have woken me? Both commands change nothing and tell nobody.

    \b
    Example:
      edgectl rules test tank-low.yaml --readings last-week.csv
      edgectl rules replay tank-low --since 24h
    """


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--readings", required=True, type=click.Path(path_type=Path), help="CSV or JSON lines; - for standard input."
)
@click.option("--rule", "name", help="Which rule, when FILE declares several.")
@click.option("--device", default="", help="Whose readings these are, when the file does not say.")
@output()
def test(file: Path, readings: Path, name: str | None, device: str, output: str) -> None:
    """When a rule would have fired over a file of readings. Needs no agent.

    Readings are CSV with the columns t (or time) and either one column per reading, or reading and value; a device column is
    taken when there is one. JSON lines are what boards send, with a "device". `edgectl readings --output csv` writes one.

    \b
    Example:
      edgectl rules test tank-low.yaml --readings tank-1.csv --device tank-1
    """
    from edge_agent.cli.recorded import read
    from edge_agent.domain.rules.replay import replay
    from edge_agent.manifests import load_paths

    rules = load_paths([file], alone=True).rules
    if name and name not in rules:
        raise NotFound(f"{file} declares no rule {name}; it has {', '.join(rules) or 'none'}")
    chosen = [rules[name]] if name else list(rules.values())
    if not chosen:
        raise NotFound(f"{file} declares no rule")
    samples = read(readings, device)
    told = []
    for rule in chosen:
        result = replay(rule, samples, as_measured=True)
        matches = [
            {
                "rule": rule.name,
                "state": m.state,
                "device": m.device,
                "at": m.at,
                "value": m.value,
                "message": m.message,
            }
            for m in result.matches
        ]
        told.append({"rule": rule.name, "samples": result.samples, "matches": matches, "series": result.series})
    _print(told, output)


@command.command()
@click.argument("name", shell_complete=named("rules"))
@click.option("--since", type=Moment(), default="24h", show_default=True, help="From when: 24h (ago), or a date.")
@click.option("--until", type=Moment(), help="Up to when; now.")
@output()
@with_agent
def replay(agent: Agent, name: str, since: int, until: int | None, output: str) -> None:
    """When a rule would have fired over the readings the agent has kept.

    \b
    Example:
      edgectl rules replay tank-low --since 24h
    """
    end = until or int(time.time() * 1000)
    _print([agent.post("rules", name, "replay", since=since, until=end)], output)


def _print(told: Sequence[Mapping[str, Any]], output: str) -> None:
    if output != "table":
        found = [{key: value for key, value in one.items() if key != "series"} for one in told]
        printing.one(found[0] if len(found) == 1 else found, output, ())
        return
    for one in told:
        matches = one["matches"]
        fired = sum(match["state"] != "resolved" for match in matches)
        times = {0: "never", 1: "once"}.get(fired, f"{fired} times")
        click.echo(f"{one['rule']} would have fired {times} in {one.get('samples', '?')} samples")
        if matches:
            printing.items(matches, "table", COLUMNS)
        for device, points in list(one["series"].items())[:4]:
            numbers = [(t, float(value)) for t, value in points if isinstance(value, (int, float))]
            marks = [(m["at"], MARKS.get(m["state"], "▲")) for m in matches if m["device"] == device]
            click.echo("\n".join(plots.plot(numbers, f"{one['rule']} on {device}: ▲ firing ▽ over", marks)))
