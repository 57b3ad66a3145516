"""`edgectl`: what people type. One file per command in `commands/`, found by being there and imported when it is called."""

from __future__ import annotations


def main() -> None:
    """The console script. Exit codes: 0 done, 1 failed, 2 bad input or usage, 3 agent not reachable."""
    from edge_agent.cli.root import edgectl

    edgectl(prog_name="edgectl")
