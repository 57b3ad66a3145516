"""One cluster for this suite. One node: most of it tries objects, test_rights the agent at work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge_agent.adapters.cluster_kubernetes.api import Connection
from tests.cluster import Cluster
from tests.k3s.kustomize import K3S
from tests.waiting import eventually


@pytest.fixture(scope="session")
def bare() -> Iterator[Cluster]:
    """Nothing of ours in it, or whatever the tests before left."""
    with Cluster(nodes=1, name="k3s") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def cluster(bare: Cluster) -> Cluster:
    """With the overlay one-pi, as by hand."""
    install(bare)
    return bare


def install(cluster: Cluster, overlay: str = "one-pi") -> str:
    said = cluster.kubectl("apply", "--server-side", "-k", K3S / "overlays" / overlay)
    cluster.kubectl("wait", "--for=condition=Established", "crd/functions.edge.internal", "crd/rules.edge.internal")
    for kind in ("functions", "rules"):
        path = f"/apis/edge.internal/v1alpha1/namespaces/edge-functions/{kind}"
        eventually(lambda path=path: served(cluster, path), timeout=30)
    return said


def served(cluster: Cluster, path: str) -> bool:
    try:
        return cluster.control.get(path)["kind"].endswith("List")
    except RuntimeError:
        return False


@pytest.fixture(scope="session")
def admin(cluster: Cluster) -> Iterator[Connection]:
    connection = Connection(cluster.kubeconfig)
    yield connection
    connection.close()
