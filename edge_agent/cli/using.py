"""`edgectl functions usage`: what functions used, as a table and a plot."""

from __future__ import annotations

import time
from typing import Any

import click

from edge_agent.cli import plots, printing
from edge_agent.cli.client import Agent
from edge_agent.cli.options import Moment, named, output, with_agent
from edge_agent.domain.durations import format_duration

MOST_BARS = 72


def _ms(value: float | None) -> str:
    """A duration as people say it: `4.2 ms`, `1.5 s`."""
    if value is None:
        return "-"
    return f"{value / 1000:.3g} s" if value >= 1000 else f"{value:.3g} ms"


def _share(used: dict[str, Any]) -> str:
    count, errors = used["invocations"], used["errors"]
    return f"{errors} ({100 * errors / count:.2g} %)" if errors and count else str(errors)


COLUMNS: list[printing.Column] = [
    ("invocations", lambda u: u["invocations"]),
    ("errors", _share),
    ("cold starts", lambda u: u["cold_starts"]),
    ("mean", lambda u: _ms(u["mean_ms"])),
    ("p95", lambda u: _ms(u["p95_ms"])),
    ("GB-seconds", lambda u: f"{u['gb_seconds']:.3g}"),
]


@click.command()
@click.argument("name", required=False, default="", shell_complete=named("functions"))
@click.option("--since", type=Moment(), default="24h", show_default=True, help="From when: 7d (ago), or a date.")
@click.option("--until", type=Moment(), help="Up to when; now.")
@output()
@with_agent
def usage(agent: Agent, name: str, since: int, until: int | None, output: str) -> None:
    """What functions used: invocations, errors, cold starts, durations, GB-seconds as AWS Lambda counts them. By the hour, and
    the last hour by the minute.

    \b
    Example:
      edgectl functions usage
      edgectl functions usage send-mail --since 7d
    """
    until = until or int(time.time() * 1000) + 1
    query = {"since": min(since, until), "until": until}
    if name:
        _one(agent.get("functions", name, "usage", **query), output)
        return
    found = list(agent.items("usage", **query))
    columns = [("name", lambda u: u["function"]), *(_of_total(column) for column in COLUMNS)]
    columns.append(("by the hour", lambda u: plots.sparkline(_filled(u)[0]) if u["items"] else ""))
    printing.items(found, output, columns, "no functions are declared")


def _one(found: dict[str, Any], output: str) -> None:
    if output != "table":
        printing.one(found, output, ())
        return
    rows = [(name, cell(found["total"])) for name, cell in COLUMNS]
    kinds = ", ".join(f"{kind} {count}" for kind, count in found["total"]["errors_by_kind"].items())
    printing.one(found, output, [*rows, *([("errors by kind", kinds)] if kinds else [])])
    counts, errors, span = _bars(found)
    times = (found["since"], found["until"])
    if drawn := plots.bars(counts, times, [bool(failed) for failed in errors]):
        each = format_duration(span / 1000)
        click.echo(f"\ninvocations, each bar {each}{', ! with errors' if any(errors) else ''}")
        click.echo("\n".join(drawn))


def _of_total(column: printing.Column) -> printing.Column:
    heading, cell = column
    return heading, lambda used: cell(used["total"])


def _filled(found: dict[str, Any]) -> tuple[list[float], list[int]]:
    """(invocations, errors) of every step from `since` to `until`, empty ones included."""
    items = {item["t"]: item for item in found["items"]}
    empty = {"invocations": 0, "errors": 0}
    used = [items.get(t, empty) for t in range(found["since"], found["until"], found["step"])]
    return [float(item["invocations"]) for item in used], [item["errors"] for item in used]


def _bars(found: dict[str, Any]) -> tuple[list[float], list[int], int]:
    """(invocations, errors, ms in each bar): several steps in one bar when they would not fit."""
    counts, errors = _filled(found)
    wide = -(-len(counts) // MOST_BARS) or 1
    starts = range(0, len(counts), wide)
    return (
        [sum(counts[start : start + wide]) for start in starts],
        [sum(errors[start : start + wide]) for start in starts],
        wide * found["step"],
    )
