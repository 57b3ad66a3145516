"""Nothing is lost, whatever of the cluster is killed. `EDGE_CLUSTER_KILLS=200` for the whole of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.kubernetes.ground import Ground
from tests.kubernetes.wreck import wreck
from tests.waiting import eventually

KILLS = int(os.environ.get("EDGE_CLUSTER_KILLS", "8"))
SEED = int(os.environ.get("EDGE_CHAOS_SEED", "1"))


@pytest.mark.timeout(600 + 15 * KILLS)
def test_every_reading_is_stored_and_every_event_ends_whatever_is_killed(ground: Ground, tmp_path: Path) -> None:
    eventually(lambda: nothing_left(ground), timeout=120, every=0.5)
    seen = wreck(ground, tmp_path, KILLS, SEED)
    print(json.dumps(seen, sort_keys=True))
    assert seen["answered"] > 0
    assert seen["readings"] > 0


def nothing_left(ground: Ground) -> bool:
    """Of the pods of all tests before, shims too. Kubelets collect once a minute; `test_watch`, without pods, took most."""
    left = ground.cluster.remains()
    assert not left, left
    return True
