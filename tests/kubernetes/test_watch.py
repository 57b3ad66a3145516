"""A watch outlives what a server does to it: 410, an end, a restart, silence; and says each change once, in order."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_agent.adapters.cluster_kubernetes.api import Connection, Gone, Watch
from edge_agent.errors import NotFound, Refused, Unavailable
from tests.kubernetes.ground import NAMESPACE, Ground
from tests.kubernetes.relay import Relay
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


@pytest.fixture
def relay(ground: Ground, tmp_path: Path) -> Relay:
    return Relay(ground.cluster.kubeconfig, tmp_path)


@contextmanager
def compacting(ground: Ground) -> Iterator[Callable[[], int]]:
    """kine and the API server begin anew, and kine forgets every second all but the newest, where it does every five minutes
    all but the newest thousand. Tells up to which version it has forgotten."""
    kine, server = ground.cluster.programs["kine"], ground.cluster.programs["apiserver"]
    usual = list(kine.argv)

    def forgotten() -> int:
        found = re.findall(r"COMPACT compacted from \d+ to (\d+)", kine.log.read_text())
        return max(map(int, found), default=0)

    def begin(*flags: str) -> None:
        server.kill()
        kine.argv[:] = [*usual, *flags]
        kine.restart()
        server.start(wait=True)

    begin("--compact-interval=1s", "--compact-min-retain=1")
    try:
        yield forgotten
    finally:
        begin()


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


def test_what_was_compacted_away_meanwhile_is_answered_with_a_list_and_what_vanished_is_said(
    ground: Ground, connection: Connection, relay: Relay
) -> None:
    """The watch is cut off, the datastore forgets where it was, the API server remembers nothing older either: 410."""
    sink = Seen()
    through = Connection(relay.kubeconfig)
    watch = Watch(through, MAPS, sink, selector="test=watch")
    put(connection, "stays", 1)
    put(connection, "goes", 1)
    watch.start()
    try:
        eventually(lambda: "synced" in sink.said)
        old = connection.get(MAPS)["metadata"]["resourceVersion"]
        relay.cut()
        connection.delete(f"{MAPS}/goes")
        put(connection, "new", 1)
        with compacting(ground) as forgotten:
            numbers = itertools.count()

            def is_forgotten() -> bool:
                put(connection, "churn", next(numbers))  # there is nothing to forget while nothing happens
                return forgotten() > int(old)

            eventually(is_forgotten, timeout=30, every=0.1)
            with pytest.raises(Gone):
                connection.get(MAPS, {"resourceVersion": old, "resourceVersionMatch": "Exact"})
            relay.mend()
            eventually(lambda: {"-goes", "new=1"} <= set(sink.said), timeout=60)
        put(connection, "after", 1)
        eventually(lambda: "after=1" in sink.said, timeout=60)
        told = sink.said[1 + sink.said.index("synced") :]
        assert "stays=1" not in told, "what had not changed is not said again"
        assert "synced" in told[told.index("-goes") :], "it listed anew"
    finally:
        watch.stop()
        through.close()


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


def test_silence_of_a_server_that_is_well_costs_nothing(connection: Connection, relay: Relay) -> None:
    """Nothing happens for longer than `silence`, here shorter than a server's bookmarks."""
    sink = Seen()
    through = Connection(relay.kubeconfig)
    watch = Watch(through, MAPS, sink, selector="test=watch", silence=5.0).start()
    try:
        eventually(lambda: "synced" in sink.said)
        before = relay.taken
        eventually(lambda: relay.taken > before, timeout=30)
        put(connection, "a", 1)
        eventually(lambda: "a=1" in sink.said)
        assert "away" not in sink.said
    finally:
        watch.stop()
        through.close()


def test_it_stops_at_once_and_says_nothing_more(connection: Connection, seen: tuple[Seen, Watch]) -> None:
    sink, watch = seen
    watch.start()
    eventually(lambda: "synced" in sink.said)
    watch.stop()
    said = list(sink.said)
    eventually(lambda: "watch configmaps" not in {thread.name for thread in threading.enumerate()})
    put(connection, "late", 1)
    assert sink.said == said


def test_errors_are_ours_and_quote_the_server(ground: Ground, connection: Connection, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r'Kubernetes says: configmaps "none" not found'):
        connection.get(f"{MAPS}/none")
    with pytest.raises(Refused, match="Kubernetes says: "):
        connection.create(MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "NO NAME"}})
    began = time.monotonic()
    document = json.loads(ground.cluster.kubeconfig.read_text())
    document["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "nobody").write_text(json.dumps(document))
    nobody = Connection(tmp_path / "nobody", connect=0.5)
    with pytest.raises(Unavailable, match=r"the Kubernetes API at https://127.0.0.1:1 cannot be reached"):
        nobody.get("/api")
    assert time.monotonic() - began < 60
    with pytest.raises(Refused, match="cannot be read"):
        Connection(ground.folder / "no-such-file")
