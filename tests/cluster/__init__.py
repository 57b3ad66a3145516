"""A real Kubernetes of several nodes on one machine, in seconds (README.md).

with Cluster(nodes=3, name="mine") as cluster:
    cluster.kubectl("get", "nodes")
"""

from __future__ import annotations

from tests.cluster.cluster import Cluster, CurrentCluster
from tests.cluster.images import Image, busybox
from tests.cluster.needs import CannotRun
from tests.cluster.node import Node
from tests.cluster.own import NotPossibleHere, OwnCluster
from tests.cluster.program import Program
from tests.cluster.remains import Remains

__all__ = [
    "CannotRun",
    "Cluster",
    "CurrentCluster",
    "Image",
    "Node",
    "NotPossibleHere",
    "OwnCluster",
    "Program",
    "Remains",
    "busybox",
]
