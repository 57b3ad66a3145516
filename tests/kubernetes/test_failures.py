"""What the cluster does to workers reaches the engine in Kubernetes' own words, and no event is lost by it."""

from __future__ import annotations

import http.client
import json

import msgspec
import pytest

from edge_agent.domain.function import MiB, PoolSpec, RetrySpec
from edge_agent.domain.invocation import Failed, Succeeded
from tests.kubernetes.ground import NAMESPACE, Ground, Pods, serving, shell
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)

SOON = RetrySpec(attempts=3, max_age=6.0)
"""A life so short that a dead letter can be waited for."""


def test_an_image_that_cannot_be_pulled_ends_in_a_dead_letter_that_says_so(pods: Pods) -> None:
    retry = RetrySpec(attempts=3, max_age=15.0)
    absent = msgspec.structs.replace(serving("absent", retry=retry), image="edge.test/absent:1")
    pods.add(absent)
    pods.start()
    failed = pods.failure("absent")
    assert failed.kind == "expired"
    assert "Kubernetes says: ErrImagePull: " in failed.reason or "Kubernetes says: ImagePullBackOff" in failed.reason
    assert "edge.test/absent:1" in failed.reason
    assert pods.state("absent")["last_error_kind"] == "image-pull-failed"


def test_a_name_that_is_no_image_is_said_to_be_none(pods: Pods) -> None:
    pods.add(msgspec.structs.replace(serving("odd", pool=PoolSpec(min_idle=1)), image="NO such image"))
    pods.start()
    eventually(lambda: pods.state("odd")["last_error"])
    assert "InvalidImageName" in pods.state("odd")["last_error"]


def test_a_quota_that_is_used_up_is_quoted_and_events_wait_until_there_is_room(pods: Pods, ground: Ground) -> None:
    quota = {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": NAMESPACE},
        "spec": {"hard": {"pods": "0"}},
    }  # fmt: skip
    ground.cluster.apply(quota)
    try:
        eventually(lambda: ground.cluster.control.get(f"/api/v1/namespaces/{NAMESPACE}/resourcequotas/none")["status"])
        pods.add(serving("short", retry=SOON))
        pods.add(serving("patient"))
        pods.start()
        event = pods.send("patient")
        failed = pods.failure("short")
        assert failed.kind == "expired"
        assert "exceeded quota: none" in failed.reason
        assert pods.state("short")["last_error_kind"] == "quota-exceeded"
    finally:
        ground.cluster.kubectl("delete", "resourcequota", "none", "-n", NAMESPACE)
    assert isinstance(pods.outcome(event), Succeeded)
    assert len(pods.settled(event)) == 1, "starts that fail cost no attempt"


def test_a_pod_no_node_has_room_for_is_given_up_and_the_scheduler_quoted(pods: Pods, ground: Ground) -> None:
    allow(ground, "9999")
    try:
        pods.add(serving("huge", cpu=4000.0, pool=PoolSpec(min_idle=1)))
        pods.start()
        eventually(lambda: pods.state("huge")["last_error"], timeout=40)
        assert "could not be placed: Kubernetes says: Unschedulable: " in pods.state("huge")["last_error"]
        assert "Insufficient cpu" in pods.state("huge")["last_error"]
    finally:
        allow(ground, "40")


def allow(ground: Ground, cpu: str) -> None:
    """So much of the processor to all functions together, which k3s/base holds at 40 in limits and 2 in requests."""
    hard = {"limits.cpu": cpu, "requests.cpu": "2" if cpu == "40" else cpu}
    change = json.dumps({"spec": {"hard": hard}})
    ground.cluster.kubectl("patch", "resourcequota", "functions", "-n", NAMESPACE, "--type=merge", "-p", change)
    path = f"/api/v1/namespaces/{NAMESPACE}/resourcequotas/functions"
    eventually(lambda: hard.items() <= ground.cluster.control.get(path)["status"]["hard"].items())


def test_a_function_without_an_image_is_told_how_to_get_one(pods: Pods) -> None:
    pods.declare("folder", command=("./main",), pool=PoolSpec(min_idle=1))
    pods.start()
    eventually(lambda: "it has no image" in pods.state("folder")["last_error"])


def test_a_secret_that_is_missing_is_named(pods: Pods) -> None:
    pods.add(serving("needy", secrets=("smtp",), pool=PoolSpec(min_idle=1)))
    pods.start()
    eventually(lambda: "the secret smtp is missing" in pods.state("needy")["last_error"])


def test_a_worker_out_of_memory_fails_its_event_with_that_word(pods: Pods) -> None:
    grows = serving("grows", "x=0123456789abcdef; while :; do x=$x$x; done", retry=RetrySpec(1), memory=32 * MiB)
    pods.add(grows)
    pods.start()
    failed = pods.failure("grows")
    assert failed.kind == "out-of-memory"
    assert "used more than the 32 MiB its manifest allows" in failed.reason


def test_an_event_whose_pod_is_deleted_by_hand_is_tried_again_elsewhere(pods: Pods, ground: Ground) -> None:
    pods.add(serving("slow", "sleep 3"))
    pods.start()
    event = pods.send("slow")
    eventually(lambda: pods.state("slow")["workers"]["busy"])
    (pod,) = pods.pods("slow")
    ground.cluster.kubectl("delete", "pod", pod["metadata"]["name"], "-n", NAMESPACE, "--force", "--grace-period=0")
    assert isinstance(pods.outcome(event), Succeeded)
    first = pods.settled(event)[0].outcome
    assert isinstance(first, Failed)
    assert first.kind == "worker-lost"
    assert "was deleted" in first.reason


def test_a_function_that_cannot_initialise_says_what_it_printed(pods: Pods) -> None:
    pods.add(shell("broken", "echo 'no such module'; exit 7", pool=PoolSpec(min_idle=1)))
    pods.start()
    eventually(lambda: pods.state("broken")["last_error"])
    assert "exited with code 7" in pods.state("broken")["last_error"]
    assert "no such module" in pods.state("broken")["last_error"]


def test_the_pool_serves_a_fresh_pod_for_every_event(pods: Pods) -> None:
    pods.add(serving("fresh", pool=PoolSpec(min_idle=2, max_workers=4)))
    pods.start()
    pods.idle("fresh", 2)
    seen = [pods.answer("fresh") for _ in range(8)]
    assert len(set(seen)) == 8, "each event has a pod of its own"
    first = next(one for one in pods.settlements if one.state == "answered").attempt
    assert first.answered - first.handed_over < first.init_ms, "it waited for no start"


def test_workers_are_spread_over_the_nodes(pods: Pods) -> None:
    pods.add(serving("wide", isolation="shared", pool=PoolSpec(min_idle=4, max_workers=4)))
    pods.start()
    pods.idle("wide", 4)
    assert {pod["spec"]["nodeName"] for pod in pods.pods("wide")} == {node.name for node in pods.ground.cluster.nodes}


def test_a_token_is_good_from_its_pods_address_and_for_its_life_only(pods: Pods) -> None:
    pods.add(serving("guarded", isolation="shared", pool=PoolSpec(min_idle=2, max_workers=2)))
    pods.start()
    pods.idle("guarded", 2)
    names = [pod["spec"]["hostAliases"][0]["hostnames"][0] for pod in pods.pods("guarded")]
    assert len(set(names)) == 2
    assert [_ask(pods, name) for name in (*names, "0" * 32 + ".worker.edge.internal", "localhost")] == [403] * 4
    assert pods.state("guarded")["workers"]["idle"] == 2, "nobody was disturbed by it"
    own = "wget -q -O /dev/null --header 'Host: {}' http://{}:{}/2018-06-01/runtime/invocation/none; echo $?"
    thief = shell(
        "thief", own.format(names[0], pods.site.address, pods.site.port) + "; exit 5", pool=PoolSpec(min_idle=1)
    )
    pods.add(thief)
    eventually(lambda: "exited with code 5" in pods.state("thief")["last_error"])
    assert "403" in pods.state("thief")["last_error"]


def _ask(pods: Pods, host: str) -> int:
    """As somebody on this machine who has found out the name."""
    connection = http.client.HTTPConnection(pods.site.address, pods.site.port, timeout=10)
    connection.request("GET", "/2018-06-01/runtime/invocation/next", headers={"Host": f"{host}:{pods.site.port}"})
    try:
        return connection.getresponse().status
    finally:
        connection.close()
