"""The tests of this folder on a cluster that is somebody's own: of this suite's nothing is told but what a user would say."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.cluster import OwnCluster, needs
from tests.kubernetes.ground import NAMESPACE, Ground, Pods, serving

pytestmark = pytest.mark.timeout(200)

ROOT = Path(__file__).parents[2]
CAN = (
    "test_belongings.py::test_declared_egress_is_a_policy_of_the_functions_own",
    "test_conformance.py::test_a_worker_that_is_started_asks_for_an_event",
    "test_failures.py::test_a_token_is_good_from_its_pods_address_and_for_its_life_only",
    "test_survival.py::test_pods_that_wait_are_taken_over_by_the_next_life_of_the_agent[shared]",
    "test_watch.py::test_every_change_is_said_in_order",
)
CANNOT = (
    "test_watch.py::test_a_server_that_falls_silent_is_noticed",
    "test_wreck.py::test_every_reading_is_stored_and_every_event_ends_whatever_is_killed",
)


def test_a_cluster_of_somebodys_own_runs_what_it_can_and_says_what_it_cannot(ground: Ground, tmp_path: Path) -> None:
    assert ground.cluster.programs
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_bytes(ground.cluster.kubeconfig.read_bytes())
    imports = [node.machine.inside([needs.binaries() / "ctr", *IMPORT]) for node in ground.cluster.nodes]
    load = [f"{shlex.join(command)} <archive" for command in imports]
    environment = os.environ | {
        "EDGE_TEST_KUBECONFIG": str(kubeconfig),
        "EDGE_TEST_RUNTIME_ADDRESS": ground.cluster.runtime_address,
        "EDGE_TEST_LOAD": " && ".join([f"cd {tmp_path}", "cat >archive", *load, "touch loaded"]),
        "PATH": f"{needs.binaries()}:{os.environ['PATH']}",
    }
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    command += [f"tests/kubernetes/{test}" for test in CAN + CANNOT]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    assert (tmp_path / "loaded").exists()
    skipped = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        found = case.find("skipped")
        skipped[case.get("name")] = None if found is None else found.get("message", "")
    assert {name for name, why in skipped.items() if why is None} == {test.partition("::")[2] for test in CAN}
    assert len(skipped) == len(CAN) + len(CANNOT)
    assert all("EDGE_TEST_KUBECONFIG names a cluster of yours" in why for why in skipped.values() if why is not None)


IMPORT = (
    "--address", "/run/containerd/containerd.sock", "--namespace", "k8s.io", "images", "import", "--local",
    "--all-platforms", "-",
)  # fmt: skip


def test_a_cluster_in_use_is_left_alone(pods: Pods, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ground.cluster.programs
    monkeypatch.setenv("PATH", str(needs.binaries()), prepend=":")
    pods.add(serving("theirs", isolation="shared"))
    pods.start()
    assert pods.answer("theirs")
    with pytest.raises(RuntimeError, match=f"is in use: pod/.* in {NAMESPACE}"), OwnCluster(ground.cluster.kubeconfig):
        pass
