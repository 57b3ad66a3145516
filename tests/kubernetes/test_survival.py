"""The cluster goes away and comes back, the agent dies and comes back: what is there goes on, what is lost is replaced."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.adapters.cluster_kubernetes.pods import sight
from edge_agent.domain.function import PoolSpec, RetrySpec
from edge_agent.domain.invocation import Failed, Succeeded
from tests.functions.shelf import Shelf
from tests.kubernetes.ground import NAMESPACE, Ground, Pods, serving
from tests.kubernetes.relay import Relay
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)

TWO = PoolSpec(min_idle=2, max_workers=2)


def test_without_the_api_server_workers_go_on_and_starts_wait_for_it(pods: Pods, ground: Ground) -> None:
    pods.add(serving("steady", isolation="shared", pool=TWO))
    pods.add(serving("late"))
    pods.start()
    pods.idle("steady", 2)
    server = ground.cluster.programs["apiserver"]
    server.kill()
    try:
        eventually(lambda: pods.runner.standing().trouble)
        assert pods.answer("steady")
        event = pods.send("late")
        eventually(lambda: "cannot be reached" in pods.state("late")["last_error"])
        assert pods.state("late")["last_error_kind"] in ("cluster-away", "start-failed")
        assert pods.answer("steady")
    finally:
        server.start(wait=True)
    assert isinstance(pods.outcome(event), Succeeded)
    assert len(pods.settled(event)) == 1, "it cost no attempt"
    assert not pods.runner.standing().trouble


def test_pods_that_were_not_needed_any_more_while_nobody_could_be_told_are_deleted_later(
    pods: Pods, ground: Ground
) -> None:
    pods.add(serving("steady", isolation="shared", pool=TWO))
    pods.start()
    pods.idle("steady", 2)
    server = ground.cluster.programs["apiserver"]
    server.kill()
    try:
        eventually(lambda: pods.runner.standing().trouble)
        pods.functions.pop("steady")
        pods.engine.replace(pods.functions)
        eventually(lambda: pods.runner.standing().owed == 2, timeout=60)
    finally:
        server.start(wait=True)
    ground.cleared()


def test_an_api_server_that_hangs_is_noticed_and_left_alone(pods: Pods, ground: Ground) -> None:
    """It holds its connections: no reset, no end, only silence."""
    pods.add(serving("steady", isolation="shared", pool=TWO))
    pods.start()
    pods.idle("steady", 2)
    server = ground.cluster.programs["apiserver"]
    server.freeze()
    try:
        assert [bool(pods.answer("steady")) for _ in range(5)] == [True] * 5
        assert "cannot be reached" in pods.runner.standing().trouble
    finally:
        server.thaw()
    eventually(lambda: not pods.runner.standing().trouble)


class Reborn(Pods):
    """Reaches the cluster through a relay. `die` leaves everything as a SIGKILL would: from one moment on nothing of it comes
    out, no pod is deleted, nothing is written."""

    def start(self) -> Shelf:
        self.way = Relay(self.ground.account, self.folder)
        self.kubeconfig = self.way.kubeconfig
        return super().start()

    def die(self) -> None:
        self.way.cut()
        self.loop.ask(self.server.close_all)
        self.loop.close()
        self.journal.close()
        self._running = False


@pytest.fixture
def reborn(ground: Ground, tmp_path: Path) -> Iterator[Reborn]:
    pods = Reborn(ground, tmp_path)
    yield pods
    pods.stop()
    ground.cleared()


@pytest.mark.parametrize("isolation", ["pod", "process", "shared"])
def test_pods_that_wait_are_taken_over_by_the_next_life_of_the_agent(reborn: Reborn, isolation: str) -> None:
    reborn.add(serving("waiting", isolation=isolation, pool=TWO))
    reborn.start()
    reborn.idle("waiting", 2)
    before = {pod["metadata"]["uid"] for pod in reborn.pods("waiting")}
    names = {pod["metadata"]["name"] for pod in reborn.pods("waiting")}
    reborn.die()
    reborn.start()
    reborn.idle("waiting", 2)
    assert {pod["metadata"]["uid"] for pod in reborn.pods("waiting")} == before
    assert reborn.runner.counts["adopted"] == 2
    assert reborn.runner.counts["created"] == 0
    assert reborn.answer("waiting") in names


def test_a_pod_that_had_an_event_is_no_fresh_one_in_the_next_life(reborn: Reborn) -> None:
    reborn.add(serving("once", "sleep 3", pool=PoolSpec(min_idle=0, max_workers=1), retry=RetrySpec(attempts=2)))
    reborn.start()
    event = reborn.send("once")
    eventually(lambda: reborn.state("once")["workers"]["busy"])
    (used,) = reborn.pods("once")
    reborn.die()
    reborn.settlements.clear()
    reborn.start()
    outcome = reborn.outcome(event)
    assert isinstance(outcome, Succeeded)
    assert used["metadata"]["name"] not in outcome.response.decode()
    assert reborn.runner.counts["adopted"] == 0
    eventually(lambda: used["metadata"]["uid"] not in {pod["metadata"]["uid"] for pod in reborn.ground.pods})


def test_pods_of_a_function_that_has_changed_or_gone_are_removed_and_other_agents_pods_are_not(
    reborn: Reborn, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sight, "PATIENCE", 4.0)
    reborn.add(serving("changed", isolation="shared", pool=TWO))
    reborn.start()
    reborn.idle("changed", 2)
    before = {pod["metadata"]["uid"] for pod in reborn.pods("changed")}
    (one, _) = reborn.pods("changed")
    stranger = {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "stranger", "namespace": NAMESPACE,
            "labels": {**one["metadata"]["labels"], "edge.internal/site": "elsewhere"},
        },
        "spec": {key: one["spec"][key] for key in ("containers", "securityContext", "volumes")},
    }  # fmt: skip
    ground.cluster.apply(stranger)
    reborn.die()
    reborn.functions["changed"] = serving("changed", "true", isolation="shared", pool=TWO)
    reborn.start()
    reborn.idle("changed", 2)
    eventually(lambda: len(reborn.pods("changed")) == 3, timeout=90, every=0.2)
    left = {pod["metadata"]["uid"] for pod in reborn.pods("changed")}
    assert not left & before
    assert "stranger" in {pod["metadata"]["name"] for pod in ground.pods}
    ground.cluster.kubectl("delete", "pod", "stranger", "-n", NAMESPACE, "--force", "--grace-period=0")


def test_an_agent_stopped_soon_after_its_restart_leaves_no_pod_that_nobody_took_over(reborn: Reborn) -> None:
    reborn.add(serving("gone", isolation="shared", pool=TWO))
    reborn.start()
    reborn.idle("gone", 2)
    reborn.die()
    del reborn.functions["gone"]
    reborn.add(serving("other", isolation="shared", pool=PoolSpec(min_idle=1)))
    reborn.start()
    reborn.idle("other")  # by then it has seen them, and waits a minute for somebody to want them
    assert len(reborn.pods("gone")) == 2
    reborn.stop()
    eventually(lambda: not reborn.ground.pods)


def test_the_events_of_a_node_that_loses_its_power_are_tried_again_elsewhere(pods: Pods, ground: Ground) -> None:
    pods.add(serving("slow", "sleep 4", timeout=200.0, isolation="shared", pool=PoolSpec(min_idle=4, max_workers=4)))
    pods.start()
    pods.idle("slow", 4)
    node = ground.cluster.nodes[-1]
    events = [pods.send("slow") for _ in range(8)]
    eventually(lambda: pods.state("slow")["workers"]["busy"] == 4)
    began = time.monotonic()
    node.power_off()
    try:
        outcomes = [pods.end(event, timeout=120).outcome for event in events]
        assert [type(outcome) for outcome in outcomes] == [Succeeded] * 8
        lost = [one.outcome for one in pods.settlements if isinstance(one.outcome, Failed)]
        assert lost
        assert all(f"was lost with its node {node.name}: Kubernetes says: " in failed.reason for failed in lost)
        assert time.monotonic() - began < 120
    finally:
        node.power_on()
        ground.cluster.wait_ready()
