"""Nothing is lost, nothing runs too often: random SIGKILLs of workers and agent. `EDGE_KILLS=500` for the whole of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.functions import kills

KILLS = int(os.environ.get("EDGE_KILLS", "30"))
SEED = int(os.environ.get("EDGE_CHAOS_SEED", "1"))


@pytest.mark.timeout(300 + 4 * KILLS)
def test_every_event_ends_once_whatever_is_killed(tmp_path: Path) -> None:
    seen = kills.wreck(tmp_path, KILLS, SEED)
    print(json.dumps(seen, sort_keys=True))
    assert seen["answered"] > KILLS
    assert seen["dead"] > 0
