"""`make bench-cluster`: functions as pods, beside create-and-watch, on a real Kubernetes started for it.

    python -m tests.bench.cluster [NAME...] [--quick] [--json FILE] [--resume] [--readme]

As root. What has been measured is written after each part, so a run that was stopped goes on where it was with `--resume`.
Nothing here is a test: no machine fails because it is slow.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import figures as table
from tests.bench import machine
from tests.bench.cluster import density, fresh, plot, publisher, rate, tables
from tests.bench.stage import ROOT

PARTS: dict[str, Callable[[bool], Any]] = {
    "fresh": fresh.run,
    **{f"tables-{nodes}": partial(tables.run, nodes) for nodes in tables.NODES},
    "rate": rate.run,
    "publisher": publisher.run,
    "density": density.run,
}
README = ROOT / "k3s" / "README.md"
PICTURE = ROOT / "tests" / "bench" / "plots" / "cluster.svg"


def main() -> int:
    arguments = _arguments()
    logging.getLogger("edge_agent").setLevel(logging.ERROR)
    sys.setswitchinterval(0.001)  # as the agent does
    parts = _earlier(arguments) if arguments.resume else {}
    failed: list[str] = []
    for name in (name for name in PARTS if (not arguments.names or name in arguments.names) and name not in parts):
        _say(f"{name} ...")
        since = time.time()
        try:
            parts[name] = {"at": int(since), "result": json.loads(json.dumps(PARTS[name](arguments.quick)))}
        except KeyboardInterrupt:
            print("stopped; the same with --resume goes on", file=sys.stderr)
            return 130
        except Exception as error:  # noqa: BLE001 - the others still tell something
            failed.append(f"{name}: {type(error).__name__}: {error}")
        _say(f"{name} took {time.time() - since:.0f} s")
        _write(arguments, parts, failed)
    _show(arguments, parts)
    for problem in failed:
        _say(f"no figure: {problem}")
    return 1 if failed else 0


def _earlier(arguments: argparse.Namespace) -> dict[str, Any]:
    try:
        earlier = json.loads(arguments.json.read_bytes())
    except FileNotFoundError:
        return {}
    if earlier["quick"] != arguments.quick:
        kind = "quick" if earlier["quick"] else "full"
        sys.exit(f"{arguments.json} is of a {kind} run: begin again without --resume, or name another file with --json")
    found: dict[str, Any] = earlier["parts"]
    _say(f"measured before: {', '.join(found)}")
    return found


def _write(arguments: argparse.Namespace, parts: dict[str, Any], failed: list[str]) -> None:
    document = {
        "machine": machine.describe(), "quick": arguments.quick, "parts": parts, "failed": failed,
        "figures": [figure.as_json() for figure in _figures(parts)],
    }  # fmt: skip
    new = arguments.json.with_suffix(".new")
    new.write_text(json.dumps(document, indent=1) + "\n")
    new.replace(arguments.json)


def _figures(parts: dict[str, Any]) -> list[table.Figure]:
    found: list[table.Figure] = []
    if "fresh" in parts:
        found += fresh.figures(parts["fresh"]["result"])
    if rows := _tables(parts):
        found += tables.figures(rows)
    for name, module in (("rate", rate), ("publisher", publisher), ("density", density)):
        if name in parts:
            found += module.figures(parts[name]["result"])
    return found


def _tables(parts: dict[str, Any]) -> dict[str, Any]:
    return {str(nodes): parts[name]["result"] for nodes in tables.NODES if (name := f"tables-{nodes}") in parts}


def _show(arguments: argparse.Namespace, parts: dict[str, Any]) -> None:
    figures, rows, told = _figures(parts), _tables(parts), machine.line()
    table.show(figures, told)
    text = table.markdown(figures, told).replace("`make bench`", "`make bench-cluster`")
    if rows:
        print(tables.markdown(rows))
        plot.draw(rows, PICTURE if arguments.readme else ROOT / ".cache" / "bench-cluster.svg")
        picture = f'<img src="../{PICTURE.relative_to(ROOT)}" alt="Mean time of an event" width="920">'
        text += f"\n\n{tables.markdown(rows)}\n\n{picture}"
    if arguments.readme:
        table.fill(README, text)
        _say(f"{README.relative_to(ROOT)} filled")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-cluster ARGS=...", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PARTS)}; all when none")
    parser.add_argument("--quick", action="store_true", help="a few minutes, less exact")
    parser.add_argument(
        "--json", type=Path, default=ROOT / ".cache" / "bench-cluster.json", help="where the results go"
    )
    parser.add_argument("--resume", action="store_true", help="take what that file holds, measure only what it lacks")
    parser.add_argument("--readme", action="store_true", help="fill the tables and the plot of k3s/README.md")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(PARTS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return arguments


def _say(text: str) -> None:
    print(f"-- {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
