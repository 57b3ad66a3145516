"""Nothing is lost: random SIGKILLs of agent and broker under load. `make test-chaos` does the same for a hundred rounds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import chaos

ROUNDS = int(os.environ.get("EDGE_CHAOS_ROUNDS", "4"))
SEED = int(os.environ.get("EDGE_CHAOS_SEED", "1"))


@pytest.mark.timeout(200 + 8 * ROUNDS)
@pytest.mark.parametrize("persistence", [False, True], ids=["a broker that forgets", "a broker with persistence"])
def test_nothing_a_board_was_told_is_safe_is_lost_when_anything_is_killed(tmp_path: Path, persistence: bool) -> None:
    seen = chaos.wreck(tmp_path, ROUNDS, SEED, persistence=persistence)
    print(chaos.dump(seen))


@pytest.mark.timeout(200 + 8 * ROUNDS)
def test_nothing_is_lost_when_the_history_is_killed_too(tmp_path: Path) -> None:
    print(chaos.dump(chaos.wreck_history(tmp_path, ROUNDS, SEED)))
