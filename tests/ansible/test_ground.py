"""The ground itself: a node is a machine as far as Ansible can tell, and nothing of it stays behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ansible.ground import Ground, Node
from tests.cluster import state

KILLED = """
import os, sys
from tests.ansible.ground import Ground
with Ground("killed") as ground:
    node = ground.node("pi1")
    node.boot()
    node.run("systemd-run", "sleep", "600")
    print(node.init, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def node(ground: Ground) -> Iterator[Node]:
    node = ground.node("bare", memory=2048)
    node.boot()
    yield node
    node.kill()


def boot_id(node: Node) -> str:
    return node.run("cat", "/proc/sys/kernel/random/boot_id")


def test_a_node_is_a_pi_with_systemd_that_runs_without_a_failed_unit(node):
    assert node.run("systemctl", "is-system-running", "--wait").strip() == "running"
    assert node.run("cat", "/sys/firmware/devicetree/base/model").startswith("Raspberry Pi 5")
    assert int(node.run("awk", "/^MemTotal/ { print $2 }", "/proc/meminfo")) == 2048 * 1024


def test_ssh_is_the_way_in(ground, node):
    options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-i", str(ground.key)]
    done = subprocess.run(
        ["ssh", *options, f"root@{node.address}", "hostname"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "bare\n"


def test_a_reboot_keeps_the_disk_and_is_another_boot(node):
    before = boot_id(node)
    node.run("sh", "-c", "echo kept >/root/kept; echo lost >/run/lost")
    node.reboot()
    assert boot_id(node) != before
    assert node.run("cat", "/root/kept") == "kept\n"
    assert node.run("sh", "-c", "test -e /run/lost || echo gone") == "gone\n"


def test_a_power_cut_ends_every_process_and_keeps_what_was_written(node):
    node.run("systemd-run", "--unit=long", "sleep", "600")
    node.run("sh", "-c", "echo written >/root/written && sync /root/written")
    assert node.group.processes()
    node.kill()
    assert not node.group.processes()
    node.boot()
    assert node.read("/root/written") == "written\n"
    assert "inactive" in node.run("systemctl", "is-active", "long", check=False)


def test_apt_works_until_the_outside_is_cut_and_the_lan_stays(ground, node):
    node.run("apt-get", "update")
    node.run("apt-get", "install", "--yes", "--no-install-recommends", "hello")
    assert "Hello" in node.run("hello")
    ground.cut_outside()
    try:
        with pytest.raises(RuntimeError, match=r"Could not connect|Unable to connect|refused"):
            node.run("apt-get", "install", "--yes", "sl")
        node.await_ssh(5)
    finally:
        ground.restore_outside()


def test_what_a_node_sets_in_the_kernel_is_its_own(node):
    machine = Path("/proc/sys/vm/swappiness").read_text()
    node.run("sysctl", "-w", f"vm.swappiness={int(machine) + 7}")
    assert Path("/proc/sys/vm/swappiness").read_text() == machine


def test_a_killed_run_leaves_nothing_running_and_the_next_cleans_up():
    command = [sys.executable, "-c", KILLED]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        init = int(run.stdout.readline())
        assert state.started(init)
        run.kill()
    with Ground("killed"):
        assert not state.started(init)
        assert not state.mounts_below(state.ROOT / "killed")
        assert not state.cgroup_processes("killed")
    assert not (state.ROOT / "killed").exists()
