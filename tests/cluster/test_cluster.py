"""The cluster is a real one: several nodes, pods, ways between them, accounts, images, an account of what was asked."""

from __future__ import annotations

import dataclasses
import json
import socket
import threading

import pytest

from tests.cluster import Cluster, NotPossibleHere, OwnCluster, busybox, needs
from tests.cluster.images import File, Folder
from tests.cluster.workload import TOOL, await_phase, output, pod, running, status
from tests.waiting import eventually


def test_all_nodes_are_ready_and_current(cluster):
    assert cluster.ready_nodes() == {"node1", "node2"}
    version = json.loads(cluster.kubectl("version", "-o", "json"))
    assert version["serverVersion"]["gitVersion"] == version["clientVersion"]["gitVersion"]
    nodes = cluster.control.get("/api/v1/nodes")["items"]
    assert {node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes} == {version["serverVersion"]["gitVersion"]}


def callers(address: str, count: int) -> tuple[int, list[str], threading.Thread]:
    """Listen on `address`; the port, and a list that gets the address of each of the first `count` that connect."""
    listener = socket.create_server((address, 0))
    seen: list[str] = []

    def accept() -> None:
        with listener:
            listener.settimeout(90)
            for _ in range(count):
                connection, (source, _) = listener.accept()
                seen.append(source)
                connection.close()

    thread = threading.Thread(target=accept)
    thread.start()
    return listener.getsockname()[1], seen, thread


@pytest.mark.parametrize("node", ["node1", "node2"])
def test_a_pod_reaches_the_runtime_address_with_its_own_source(cluster, node):
    port, seen, thread = callers(cluster.runtime_address, 1)
    with running(cluster, f"nc {cluster.runtime_address} {port} </dev/null", node=node) as name:
        address = await_phase(cluster, name, "Succeeded")["podIP"]
    thread.join()
    assert seen == [address]


def test_what_leaves_the_pod_network_comes_from_the_node(cluster):
    gateway = str(cluster.ranges.gateway)
    port, seen, thread = callers(gateway, 1)
    output(cluster, f"nc {gateway} {port} </dev/null", node="node2")
    thread.join()
    assert seen == [cluster.node("node2").ip]


def test_pods_of_two_nodes_talk_with_their_own_sources(cluster):
    with running(cluster, "httpd -f -vv -p 7000 -h /tmp", node="node1") as server:
        address = await_phase(cluster, server, "Running")["podIP"]
        ask = f"until wget -q -O - http://{address}:7000/ 2>&1 | grep -q 404; do sleep 0.1; done"
        with running(cluster, ask, node="node2") as client:
            source = await_phase(cluster, client, "Succeeded")["podIP"]
        assert source in cluster.kubectl("logs", server)


def test_an_image_keeps_its_user_entrypoint_environment_and_layers(cluster):
    entries = {
        "run.sh": '#!/bin/sh\nid -u; pwd; echo "$WORD $1"; cat /data/word; touch /own/file && echo written\n',
        "data/word": File(b"below\n", 0o644),
        "own": Folder(0o700, 1234),
    }
    image = busybox("edge.test/whole:1", entries, entrypoint=("/run.sh",), user="1234")
    image = dataclasses.replace(image, cmd=("said",), env=("WORD=as",), workdir="/data")
    cluster.load(image.with_layer({"data/word": File(b"above\n", 0o644)}))
    document = pod("whole", "", image="edge.test/whole:1", node="node1")
    del document["spec"]["containers"][0]["command"]
    cluster.apply(document)
    await_phase(cluster, "whole", "Succeeded")
    assert cluster.kubectl("logs", "whole").split("\n") == ["1234", "/data", "as said", "above", "written", ""]
    cluster.kubectl("delete", "pod", "whole")
    assert "edge.test/whole:1" in cluster.node("node2").images()


def test_a_service_account_may_what_it_is_granted_and_what_it_asked_is_on_record(cluster):
    cluster.kubectl("create", "serviceaccount", "reader")
    cluster.kubectl("create", "role", "read", "--verb=list", "--resource=pods")
    cluster.kubectl("create", "rolebinding", "read", "--role=read", "--serviceaccount=default:reader")
    own = OwnCluster(cluster.kubeconfig_for("reader", "default"))
    own.kubectl("get", "pods")
    with pytest.raises(RuntimeError, match="forbidden"):
        own.kubectl("get", "secrets")
    asked = eventually(lambda: cluster.audit("system:serviceaccount:default:reader"))
    found = {(entry.verb, entry.resource, entry.namespace, entry.code) for entry in asked if entry.resource}
    assert found >= {("list", "pods", "default", 200), ("list", "secrets", "default", 403)}


def test_everything_a_pod_holds_is_counted(cluster):
    """That nothing of it is left, `conftest` asks in the end."""
    with running(cluster, "sleep 1000", node="node2") as name:
        await_phase(cluster, name, "Running")
        there = dataclasses.asdict(cluster.node("node2").remains())
    assert [what for what, count in there.items() if count == 0] == []


def test_a_nodes_quota_of_cpu_holds_for_its_pods(cluster):
    node = cluster.node("node1")
    folder = next(
        path
        for tree, path in zip(node.machine.group.trees, node.machine.group.folders(), strict=True)
        if tree.unified or "cpu" in tree.options.split(",")
    )
    node.limit_cpu(0.2)
    try:
        with running(cluster, "while :; do :; done", node="node1"):

            def throttled() -> int:
                words = dict(line.split() for line in (folder / "cpu.stat").read_text().splitlines())
                return int(words["nr_throttled"])

            before = throttled()
            eventually(lambda: throttled() > before + 5, timeout=60)
    finally:
        node.limit_cpu(None)


def test_an_unplugged_node_is_missed_and_comes_back(cluster):
    with running(cluster, "sleep 1000", node="node2") as name:
        began = await_phase(cluster, name, "Running")["startTime"]
        node = cluster.node("node2")
        node.unplug()
        try:
            eventually(lambda: "node2" not in cluster.ready_nodes(), timeout=60, every=0.5)
        finally:
            node.plug()
        cluster.wait_ready()
        assert status(cluster, name)["startTime"] == began


def test_a_cluster_of_ones_own_is_used_and_never_harmed(cluster, monkeypatch):
    monkeypatch.setenv("PATH", str(needs.binaries()), prepend=":")
    with OwnCluster(cluster.kubeconfig) as own:
        assert {(node.name, node.ip) for node in own.nodes} == {(node.name, node.ip) for node in cluster.nodes}
        assert own.control.get("/api/v1/nodes")["items"]
        for of, harm in ((own, "programs"), (own, "node"), (own.nodes[0], "power_off"), (own.control, "programs")):
            with pytest.raises(NotPossibleHere, match="EDGE_TEST_KUBECONFIG"):
                getattr(of, harm)
        for unsaid in (lambda: own.runtime_address, lambda: own.load(busybox(TOOL))):
            with pytest.raises(NotPossibleHere, match="set EDGE_TEST_"):
                unsaid()


def test_a_second_cluster_runs_beside_the_first(cluster):
    with Cluster(nodes=1, name="second") as second:
        assert second.ready_nodes() == {"node1"}
        assert not any(ours.overlaps(theirs) for ours in cluster.ranges.all() for theirs in second.ranges.all())
        second.load(busybox("edge.test/tool:1"))
        assert output(second, "echo second", node="node1") == "second\n"
        assert output(cluster, "echo first", node="node1") == "first\n"
        folder = second.folder
    assert not folder.exists()
    assert cluster.ready_nodes() == {"node1", "node2"}
