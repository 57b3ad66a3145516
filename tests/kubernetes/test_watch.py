"""A watch outlives what a server does to it: 410, an end, a restart, silence; and says each change once, in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from edge_agent.adapters.cluster_kubernetes.api import Connection, Watch
from edge_agent.errors import NotFound, Refused, Unavailable
from tests.kubernetes.ground import NAMESPACE, Ground
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(200)

MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"


class Seen:
    """`Sink`: what was said, in order."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def changed(self, item: dict[str, Any]) -> None:
        assert item["kind"] == "ConfigMap"
        self.said.append(f"{item['metadata']['name']}={(item.get('data') or {}).get('n', '')}")

    def removed(self, item: dict[str, Any]) -> None:
        self.said.append(f"-{item['metadata']['name']}")

    def synced(self) -> None:
        self.said.append("synced")

    def away(self, reason: str) -> None:
        assert reason
        self.said.append("away")


@pytest.fixture
def connection(ground: Ground) -> Iterator[Connection]:
    connection = Connection(ground.cluster.kubeconfig)
    yield connection
    for item in connection.get(MAPS, {"labelSelector": "test=watch"})["items"]:
        connection.delete(f"{MAPS}/{item['metadata']['name']}")
    connection.close()


@pytest.fixture
def seen(connection: Connection) -> Iterator[tuple[Seen, Watch]]:
    sink = Seen()
    watch = Watch(connection, MAPS, sink, selector="test=watch", silence=5.0)
    yield sink, watch
    watch.stop()


def put(connection: Connection, name: str, n: int) -> None:
    item = {"metadata": {"name": name, "labels": {"test": "watch"}}, "apiVersion": "v1", "kind": "ConfigMap"}
    connection.apply(f"{MAPS}/{name}", item | {"data": {"n": str(n)}})


def test_every_change_is_said_in_order(connection: Connection, seen: tuple[Seen, Watch]) -> None:
    sink, watch = seen
    put(connection, "a", 1)
    watch.start()
    eventually(lambda: "synced" in sink.said)
    for number in range(2, 20):
        put(connection, "a", number)
    connection.delete(f"{MAPS}/a")
    eventually(lambda: "-a" in sink.said)
    assert sink.said == ["a=1", "synced", *[f"a={number}" for number in range(2, 20)], "-a"]


def test_a_version_too_old_is_answered_with_a_list_and_what_vanished_meanwhile_is_said(
    connection: Connection, seen: tuple[Seen, Watch]
) -> None:
    sink, watch = seen
    put(connection, "stays", 1)
    put(connection, "goes", 1)
    watch.start()
    eventually(lambda: "synced" in sink.said)
    watch._version = "1"  # as if it had slept for a day: the server compacts what is older than some minutes
    connection_lines = watch._lines
    assert connection_lines is not None
    watch._telling.acquire()  # nothing is heard meanwhile
    try:
        connection_lines.stop()
        connection.delete(f"{MAPS}/goes")
        put(connection, "new", 1)
    finally:
        watch._telling.release()
    eventually(lambda: {"-goes", "new=1"} <= set(sink.said))
    assert "stays=1" not in sink.said[1 + sink.said.index("synced") :], "what had not changed is not said again"
    assert "away" not in sink.said
    assert sink.said.count("synced") == 2, "it listed anew"


def test_a_server_that_restarts_is_away_and_back_and_nothing_is_missed(
    ground: Ground, connection: Connection, seen: tuple[Seen, Watch]
) -> None:
    sink, watch = seen
    watch.start()
    eventually(lambda: "synced" in sink.said)
    server = ground.cluster.programs["apiserver"]
    server.kill()
    try:
        eventually(lambda: watch.away_since)
        assert "cannot be reached" in watch.reason
    finally:
        server.start(wait=True)
    put(connection, "after", 1)
    eventually(lambda: "after=1" in sink.said, timeout=60)
    assert sink.said.count("away") == 1
    assert watch.away_since is None


def test_a_server_that_falls_silent_is_noticed(
    ground: Ground, connection: Connection, seen: tuple[Seen, Watch]
) -> None:
    sink, watch = seen
    watch.start()
    eventually(lambda: "synced" in sink.said)
    server = ground.cluster.programs["apiserver"]
    server.freeze()
    try:
        eventually(lambda: "away" in sink.said, timeout=40)
    finally:
        server.thaw()
    put(connection, "after", 1)
    eventually(lambda: "after=1" in sink.said, timeout=60)


def test_silence_of_a_server_that_is_well_costs_nothing(connection: Connection, seen: tuple[Seen, Watch]) -> None:
    """Nothing happens for longer than `silence`, here shorter than a server's bookmarks."""
    sink, watch = seen
    watch.start()
    eventually(lambda: "synced" in sink.said)
    first = watch._lines
    eventually(lambda: watch._lines not in (None, first), timeout=30)
    put(connection, "a", 1)
    eventually(lambda: "a=1" in sink.said)
    assert "away" not in sink.said


def test_it_stops_at_once_and_says_nothing_more(connection: Connection, seen: tuple[Seen, Watch]) -> None:
    sink, watch = seen
    watch.start()
    eventually(lambda: "synced" in sink.said)
    watch.stop()
    said = list(sink.said)
    eventually(lambda: not any(thread is watch._thread for thread in threading.enumerate()))
    put(connection, "late", 1)
    assert sink.said == said


def test_errors_are_ours_and_quote_the_server(ground: Ground, connection: Connection) -> None:
    with pytest.raises(NotFound, match=r'Kubernetes says: configmaps "none" not found'):
        connection.get(f"{MAPS}/none")
    with pytest.raises(Refused, match="Kubernetes says: "):
        connection.create(MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "NO NAME"}})
    began = time.monotonic()
    nobody = Connection(ground.cluster.kubeconfig, connect=0.5)
    nobody._settings.host = "https://127.0.0.1:1"
    with pytest.raises(Unavailable, match=r"the Kubernetes API at https://127.0.0.1:1 cannot be reached"):
        nobody.get("/api")
    assert time.monotonic() - began < 60
    with pytest.raises(Refused, match="cannot be read"):
        Connection(ground.folder / "no-such-file")
