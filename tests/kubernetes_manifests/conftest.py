"""One cluster for all tests here; each test has the namespace to itself, one after the other. Its node is for `test_pods`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.agent import Agent
from tests.broker import Broker
from tests.cluster import Cluster, CurrentCluster, OwnCluster, busybox
from tests.functions.house import Board
from tests.kubernetes_manifests.objects import ENTRY, IMAGE, Objects, prepare


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster | OwnCluster]:
    with CurrentCluster(nodes=1, name="res") as cluster:
        prepare(cluster)
        image = busybox(
            IMAGE, {"usr/local/bin/edge-entry": ENTRY.read_bytes()}, entrypoint=("/usr/local/bin/edge-entry",)
        )
        cluster.load(image.write(tmp_path_factory.mktemp("image") / "image.tar"))
        yield cluster


@pytest.fixture
def objects(cluster: Cluster | OwnCluster, tmp_path: Path) -> Iterator[Objects]:
    objects = Objects(cluster, tmp_path)
    yield objects
    objects.clear()


class House:
    """The agent beside a real broker, with manifests from the cluster; functions run as processes, as a developer may."""

    def __init__(self, agent: Agent, board: Board, broker: Broker) -> None:
        self.agent, self.board, self.broker = agent, board, broker


@contextmanager
def at_home(objects: Objects, manifests: str = "", **settings: Any) -> Iterator[House]:
    given = {
        "kubernetes.manifests": True, "kubernetes.kubeconfig": str(objects.account),
        "functions.by_api": True, "functions.runtime_port": 0, **settings,
    }  # fmt: skip
    with Broker(persistence=True) as broker:
        board = Board(broker.port)
        try:
            with Agent(objects.folder / "agent", broker.port, manifests=manifests, settings=given) as agent:
                yield House(agent, board, broker)
        finally:
            board.close()


@pytest.fixture
def house(objects: Objects) -> Iterator[House]:
    with at_home(objects) as house:
        yield house
