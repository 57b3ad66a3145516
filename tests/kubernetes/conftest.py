"""One cluster for all tests here, started when the first one needs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import CurrentCluster
from tests.kubernetes.ground import Ground, Pods


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    soon = {"syncFrequency": "5s"}  # a changed secret arrives with a pod's next sync, by default once a minute
    with CurrentCluster(nodes=2, name="pods", node_grace=15, kubelet=soon) as cluster:
        yield Ground(cluster, tmp_path_factory.mktemp("ground"))


@pytest.fixture
def pods(ground: Ground, tmp_path: Path) -> Iterator[Pods]:
    """A function engine on pods; not started."""
    pods = Pods(ground, tmp_path)
    yield pods
    pods.stop()
    ground.cleared()
