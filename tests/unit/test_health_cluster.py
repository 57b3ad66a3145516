"""The check of the cluster that functions run on."""

from __future__ import annotations

from pathlib import Path

from edge_agent.health.checks.cluster import check
from edge_agent.health.context import Context
from edge_agent.health.finding import Unwell
from edge_agent.ports import ClusterState


def judged(cluster: ClusterState | None) -> tuple[bool, str]:
    found = check(Context(lambda: 0, Path("/"), cluster=cluster))
    assert not isinstance(found, Unwell) or found.try_this
    return found.ok, found.summary


def test_without_a_cluster_there_is_nothing_to_complain_of():
    assert judged(None)[0]


def test_ready_nodes_are_counted():
    assert judged(ClusterState("https://10.0.0.1:6443", nodes={"a": "", "b": ""})) == (
        True,
        "2 nodes ready at https://10.0.0.1:6443",
    )


def test_a_cluster_that_does_not_answer_says_why():
    ok, words = judged(ClusterState("https://10.0.0.1:6443", trouble="connection refused"))
    assert not ok
    assert words == "https://10.0.0.1:6443 cannot be asked: connection refused"


def test_a_node_that_is_not_ready_is_named():
    ok, words = judged(
        ClusterState("c", nodes={"a": "", "b": "NodeStatusUnknown: Kubelet stopped posting node status."})
    )
    assert not ok
    assert words.startswith("1 of 2 nodes are not ready: b (NodeStatusUnknown")


def test_a_quota_nearly_used_is_said_before_it_is():
    ok, words = judged(ClusterState("c", nodes={"a": ""}, quotas={"pods": (46, 50), "limits.memory": (1e9, 4e9)}))
    assert not ok
    assert words == "its quota is nearly used: pods 46 of 50"


def test_clocks_that_differ_are_said_with_their_direction():
    assert judged(ClusterState("c", nodes={"a": ""}, skew=-61.0)) == (False, "its clock is 61 s behind ours")
    assert judged(ClusterState("c", nodes={"a": ""}, skew=2.0))[0]
