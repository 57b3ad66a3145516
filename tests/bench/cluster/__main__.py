"""`make bench-cluster`: functions as pods, beside create-and-watch, on a real Kubernetes started for it.

    python -m tests.bench.cluster [NAME...] [--quick] [--json FILE] [--readme]

As root. Nothing here is a test: no machine fails because it is slow.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench import figures as table
from tests.bench import machine
from tests.bench.cluster import plot, tables
from tests.bench.stage import ROOT

NAMES = ("fresh", "tables", "rate", "publisher", "density")
README = ROOT / "k3s" / "README.md"
PICTURE = ROOT / "tests" / "bench" / "plots" / "cluster.svg"


def main() -> int:
    arguments = _arguments()
    logging.getLogger("edge_agent").setLevel(logging.ERROR)
    sys.setswitchinterval(0.001)  # as the agent does
    results: dict[str, Any] = {}
    failed: list[str] = []
    begun = time.time()
    for name in (name for name in NAMES if not arguments.names or name in arguments.names):
        _say(f"{name} ...")
        since = time.time()
        try:
            results[name] = _module(name).run(arguments.quick)
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            return 130
        except Exception as error:  # noqa: BLE001 - the others still tell something
            failed.append(f"{name}: {type(error).__name__}: {error}")
        _say(f"{name} took {time.time() - since:.0f} s")
    figures = [figure for name, result in results.items() for figure in _module(name).figures(result)]
    told = machine.line()
    table.show(figures, told)
    arguments.json.write_text(json.dumps({
        "machine": machine.describe(), "at": int(begun), "seconds": round(time.time() - begun), "quick": arguments.quick,
        "figures": [figure.as_json() for figure in figures], "results": results, "failed": failed,
    }, indent=1) + "\n")  # fmt: skip
    if "tables" in results:
        print(tables.markdown(results["tables"]))
        plot.draw(results["tables"], PICTURE if arguments.readme else ROOT / ".cache" / "bench-cluster.svg")
    if arguments.readme:
        _fill(results, figures, told)
    for problem in failed:
        _say(f"no figure: {problem}")
    return 1 if failed else 0


def _fill(results: dict[str, Any], figures: list[table.Figure], told: str) -> None:
    text = table.markdown(figures, told).replace("`make bench`", "`make bench-cluster`")
    if "tables" in results:
        picture = f'<img src="../{PICTURE.relative_to(ROOT)}" alt="Mean time of an event" width="920">'
        text += f"\n\n{tables.markdown(results['tables'])}\n\n{picture}"
    table.fill(README, text)
    _say(f"{README.relative_to(ROOT)} filled")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-cluster ARGS=...", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all when none")
    parser.add_argument("--quick", action="store_true", help="a few minutes, less exact")
    parser.add_argument(
        "--json", type=Path, default=ROOT / ".cache" / "bench-cluster.json", help="where the results go"
    )
    parser.add_argument("--readme", action="store_true", help="fill the tables and the plot of k3s/README.md")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    return arguments


def _module(name: str) -> Any:
    return importlib.import_module(f"tests.bench.cluster.{name}")


def _say(text: str) -> None:
    print(f"-- {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
