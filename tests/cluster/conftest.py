"""One cluster of two nodes for this suite, made for the first test that asks.

In the end nothing may be left of any pod on node2: of those that were deleted, and of those its power was cut under. A kubelet
collects once a minute; a test of its own would only wait for that, here the suite's other tests run meanwhile.
Not asked of node1: there programs are killed, and a containerd that is killed while it is at work forgets what it was doing.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster import Cluster, Node, busybox
from tests.cluster.workload import TOOL
from tests.waiting import eventually


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with Cluster(nodes=2, name="self", node_grace=15) as cluster:
        cluster.load(busybox(TOOL))
        yield cluster
        eventually(lambda: nothing_left(cluster.node("node2")), timeout=90, every=0.5)


def nothing_left(node: Node) -> bool:
    left = node.remains()
    assert not left, left
    return True
