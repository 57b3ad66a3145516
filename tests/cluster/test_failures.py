"""Parts are killed, frozen, cut from power, and the cluster works afterwards with what it knew before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.workload import await_phase, output, running, status
from tests.waiting import eventually

PROGRAMS = ["kine", "apiserver", "controller-manager", "scheduler", "kubelet/node1", "containerd/node1"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_killed_program_starts_again_and_nothing_is_forgotten(cluster, name):
    program = cluster.programs[name]
    with running(cluster, "sleep 1000", node="node1") as pod:
        began = await_phase(cluster, pod, "Running")
        old = program.pid
        program.kill()
        assert not program.running
        program.start()
        assert program.pid not in (0, old)
        cluster.control.await_ready()
        cluster.wait_ready()
        assert output(cluster, "echo works") == "works\n"
        now = status(cluster, pod)
        assert (now["phase"], now["podIP"]) == ("Running", began["podIP"])
        assert now["containerStatuses"][0]["containerID"] == began["containerStatuses"][0]["containerID"]


@pytest.mark.parametrize("name", ["kubelet/node1", "containerd/node1"])
def test_a_frozen_program_goes_on_when_it_is_thawed(cluster, name):
    program = cluster.programs[name]
    pid = program.pid
    program.freeze()
    assert "State:\tT" in Path(f"/proc/{pid}/status").read_text()
    with running(cluster, "echo thawed", node="node1") as pod:
        program.thaw()
        await_phase(cluster, pod, "Succeeded")
    assert program.pid == pid


def test_a_power_cut_ends_a_frozen_program_too(cluster):
    node = cluster.node("node2")
    node.kubelet.freeze()
    node.power_off()
    assert node.machine.group.processes() == set()
    node.power_on()
    cluster.wait_ready()


def test_a_frozen_api_server_does_not_answer_until_it_is_thawed(cluster):
    program = cluster.programs["apiserver"]
    program.freeze()
    try:
        with pytest.raises(OSError, match="timed out"):
            cluster.control.get("/api/v1/nodes")
    finally:
        program.thaw()
    cluster.wait_ready()


def test_a_power_cut_ends_everything_on_a_node_at_once_and_it_comes_back(cluster):
    node = cluster.node("node2")
    with running(cluster, "sleep 1000", node="node2") as pod:
        await_phase(cluster, pod, "Running")
        boot = node_info(cluster)["bootID"]
        assert node.machine.group.processes()
        node.power_off()
        assert node.machine.group.processes() == set()
        assert not node.kubelet.running
        eventually(lambda: cluster.ready_nodes() == {"node1"}, timeout=90, every=0.5)
        node.power_on()
        cluster.wait_ready()
        eventually(lambda: node_info(cluster)["bootID"] != boot, timeout=60)
        assert output(cluster, "echo again", node="node2") == "again\n"


def node_info(cluster):
    return cluster.control.get("/api/v1/nodes/node2")["status"]["nodeInfo"]
