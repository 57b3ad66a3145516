"""One cluster of two nodes for this suite, made for the first test that asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster import Cluster, busybox
from tests.cluster.workload import TOOL


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with Cluster(nodes=2, name="self", node_grace=20) as cluster:
        cluster.load(busybox(TOOL))
        yield cluster
