"""An engine in a process of its own, to be killed: `python -m tests.functions.contract.agent FOLDER LANGUAGE COUNT SECONDS`.

Two shared workers and COUNT events that take SECONDS each. It prints a line when both workers hold one, and never ends.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from edge_agent.domain.function import PoolSpec
from tests.functions.contract.clients import CLIENTS
from tests.functions.shelf import Shelf
from tests.waiting import eventually

TWO = PoolSpec(min_idle=2, max_workers=2)


def main(folder: str, language: str, count: str, seconds: str) -> None:
    shelf = Shelf(Path(folder))
    CLIENTS[language].declare(shelf, isolation="shared", pool=TWO)
    shelf.start()
    shelf.idle("tried", 2)
    for _ in range(int(count)):
        shelf.send("tried", {"do": "who", "seconds": float(seconds)})
    eventually(lambda: shelf.engine.status()["tried"]["workers"]["busy"] == 2)
    print("busy", flush=True)
    time.sleep(1000)


if __name__ == "__main__":
    main(*sys.argv[1:])
