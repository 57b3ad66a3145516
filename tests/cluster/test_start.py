"""Starting and ending: what a killed run left is cleaned up, what a machine lacks is said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import CannotRun, Cluster, cgroups, network, ranges, state
from tests.cluster.images import busybox
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
HOLD = """
import signal
from tests.cluster import Cluster
with Cluster(nodes=1, name="killed") as cluster:
    print(cluster.ranges.slot, flush=True)
    signal.pause()
"""


def test_a_run_that_is_killed_leaves_no_process_and_the_next_start_removes_the_rest():
    holder = subprocess.Popen([sys.executable, "-c", HOLD], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    slot = int(holder.stdout.readline())
    assert state.cgroup_processes("killed")
    with pytest.raises(CannotRun, match=f"runs already, in process {holder.pid}"), Cluster(name="killed"):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    eventually(lambda: not state.cgroup_processes("killed"))
    assert (state.ROOT / "killed").exists()
    folder, _ = state.claim("next")
    state.release("next", json.loads((folder / "owner.json").read_text())["slot"])
    assert not (state.ROOT / "killed").exists()
    assert not any(name.startswith("ec-killed-") for name in network.namespaces())
    assert not any((tree.mount / "edge-cluster-killed").exists() for tree in cgroups.hierarchies())
    assert state.mounts_below(state.ROOT / "killed") == []
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    assert f"ec{slot}n1" not in links


def test_who_is_not_root_is_told_what_to_do():
    code = "from tests.cluster import Cluster\nwith Cluster(): pass"
    nobody = ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-c", code]
    said = subprocess.run(nobody, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "CannotRun: a cluster needs root" in said.stderr


def test_missing_programs_are_named_with_their_packages(monkeypatch):
    monkeypatch.setattr("tests.cluster.needs.SYSTEM", ())
    monkeypatch.setattr("tests.cluster.needs.CNI", (Path("/nowhere"),))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CannotRun, match=r"runc.*containernetworking-plugins.*'.ci/setup cluster'"), Cluster():
        pass


def test_a_name_that_cannot_be_one_is_refused():
    with pytest.raises(ValueError, match="1 to 10 lower-case"):
        state.claim("No Name")


V1 = """\
30 1 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
31 1 0:27 / /sys/fs/cgroup/systemd rw - cgroup c rw,xattr,name=systemd
"""
V2 = "32 1 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize(
    ("mounts", "found"),
    [
        (V1, [("cpu", "cpu"), ("systemd", "none,name=systemd")]),
        (V1 + V2, [("cpu", "cpu"), ("systemd", "none,name=systemd")]),
        (V2, [("unified", "")]),
    ],
)
def test_control_groups_of_version_2_are_used_where_there_are_no_others(mounts, found):
    assert [(tree.mount.name, tree.options) for tree in cgroups.hierarchies(mounts)] == found


def test_slots_share_no_address_and_a_taken_one_is_passed_over():
    everything = [net for slot in range(ranges.SLOTS) for net in ranges.Ranges(slot).all()]
    assert not any(one.overlaps(other) for i, one in enumerate(everything) for other in everything[:i])
    first = ranges.choose(set())
    assert ranges.choose({first.slot}).slot > first.slot


def test_an_image_is_the_same_bytes_each_time():
    assert busybox("edge.test/a:1", {"a": "1"}).archive() == busybox("edge.test/a:1", {"a": "1"}).archive()


def test_the_owner_of_a_number_used_again_is_another():
    mine = {"pid": os.getpid(), "started": state.started(os.getpid())}
    assert state.alive(mine)
    assert not state.alive({**mine, "started": mine["started"] + 1})


def test_the_stand_in_passes_its_own_tests_in_go():
    from tests.cluster import build

    command = [build.find_go(), "test", "-trimpath", "-buildvcs=false", "-tags", build.TAGS, "./k3s"]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": ""}
    done = subprocess.run(command, cwd=build.HERE, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
