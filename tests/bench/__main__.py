"""`make bench`: every figure in one run, as a table, as JSON, as a plot.

    python -m tests.bench [NAME...] [--quick] [--json FILE] [--readme]
    python -m tests.bench --soak HOURS

What loads the processor runs alone, one after the other; what mostly waits for ten minutes to pass (memory, bytes written) runs
side by side after that. Nothing here is a test: no machine fails because it is slow.
"""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.bench import figures as table
from tests.bench import machine, memory, plots
from tests.bench.stage import ROOT, end_all

ALONE = ("intake", "reaction", "alarm", "cost", "fresh", "throughput", "fairness")
TOGETHER = ("wear", "memory")
PLOT = ROOT / "tests" / "bench" / "plots" / "figures.svg"
Results = dict[str, dict[str, Any]]


def main() -> int:
    arguments = _arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        if arguments.soak:
            memory.soak(arguments.soak)
            return 0
        return _bench(arguments)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench ARGS=...", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ALONE + TOGETHER)}; all when none")
    parser.add_argument("--quick", action="store_true", help="about three minutes instead of fourteen, less exact")
    parser.add_argument("--json", type=Path, default=ROOT / "bench.json", help="where the results go (bench.json)")
    parser.add_argument("--readme", action="store_true", help="fill the README's table and plot")
    parser.add_argument("--soak", type=float, metavar="HOURS", help="memory under load for hours, and nothing else")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(ALONE + TOGETHER):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(ALONE + TOGETHER)}")
    return arguments


def _bench(arguments: argparse.Namespace) -> int:
    wanted = [name for name in ALONE + TOGETHER if not arguments.names or name in arguments.names]
    results: Results = {}
    failed: list[str] = []
    begun = time.time()
    for name in wanted:
        if name in ALONE:
            _one(name, arguments.quick, results, failed)
    _side_by_side([name for name in wanted if name in TOGETHER], arguments.quick, results, failed)
    figures = [figure for name in wanted if name in results for figure in _module(name).figures(results[name])]
    told = machine.line()
    table.show(figures, told)
    document = {
        "machine": machine.describe(), "at": int(begun), "seconds": round(time.time() - begun), "quick": arguments.quick,
        "figures": [figure.as_json() for figure in figures], "results": results, "failed": failed,
    }  # fmt: skip
    arguments.json.write_text(json.dumps(document, indent=1) + "\n")
    picture = plots.draw(results, PLOT if arguments.readme else ROOT / ".cache" / "bench.svg")
    _say(f"{arguments.json} and {picture} written, {time.time() - begun:.0f} s")
    if arguments.readme:
        image = f'<img src="{PLOT.relative_to(ROOT)}" alt="The figures as plots" width="920">'
        table.fill(ROOT / "README.md", f"{table.markdown(figures, told)}\n\n{image}")
        _say("README.md filled")
    for problem in failed:
        _say(f"no figure: {problem}")
    return 1 if failed else 0


def _one(name: str, quick: bool, results: Results, failed: list[str]) -> None:
    _say(f"{name} ...")
    begun = time.time()
    try:
        results[name] = _module(name).run(quick)
    except Exception as error:  # noqa: BLE001 - the others still tell something
        failed.append(f"{name}: {type(error).__name__}: {error}")
        _say(f"{name} failed: {error}")
        return
    _say(f"{name} took {time.time() - begun:.0f} s")


def _side_by_side(names: list[str], quick: bool, results: Results, failed: list[str]) -> None:
    threads = [threading.Thread(target=_one, args=(name, quick, results, failed), daemon=True) for name in names]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        end_all()  # what they wait for is gone: they clean up and end
        for thread in threads:
            thread.join(30)
        raise


def _module(name: str) -> Any:
    return importlib.import_module(f"tests.bench.{name}")


def _say(text: str) -> None:
    print(f"-- {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
