"""What a node holds for pods, counted in containerd and in the kernel, not in the API: for tests that nothing leaks."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cluster.node import Node


@dataclass(frozen=True, slots=True)
class Remains:
    """Numbers of things. `containers` and `tasks` count pod sandboxes too; `addresses` are those taken in the pod range."""

    containers: int = 0
    tasks: int = 0
    snapshots: int = 0
    shims: int = 0
    processes: int = 0
    network_namespaces: int = 0
    interfaces: int = 0
    addresses: int = 0
    mounts: int = 0
    cgroups: int = 0

    def __add__(self, other: Remains) -> Remains:
        return Remains(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def __bool__(self) -> bool:
        """Whether anything is there."""
        return any(getattr(self, each.name) for each in fields(self))


def remains(node: Node) -> Remains:
    """Count on a node that is on."""
    mounts = [line.split()[4] for line in Path(f"/proc/{node.machine.init}/mountinfo").read_text().splitlines()]
    netns = Path(f"/proc/{node.machine.init}/root/run/netns")
    addresses = node.machine.state / "var/lib/cni/networks/edge"
    pods = [path for path in node.machine.group.below() if of_pod(path)]
    names = {pid: command(pid) for pid in node.machine.group.processes()}
    shims = [pid for pid, name in names.items() if name.startswith("containerd-shim")]
    of_pods = {int(pid) for path in pods for pid in read(path / "cgroup.procs").split()}
    links = subprocess.run(
        ["nsenter", f"--target={node.machine.init}", "--net", "ip", "-o", "link", "show", "type", "veth"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return Remains(
        containers=len(node.ctr("containers", "ls", "-q").split()),
        tasks=len(node.ctr("tasks", "ls", "-q").split()),
        snapshots=active_snapshots(node),
        shims=len(shims),
        processes=len(of_pods),
        network_namespaces=len(list(netns.iterdir())) if netns.exists() else 0,
        interfaces=sum("eth0" not in link.split(":")[1] for link in links),
        addresses=sum(path.name[0].isdigit() for path in addresses.iterdir()) if addresses.exists() else 0,
        mounts=sum(mount.startswith(("/var/lib/kubelet/pods/", "/run/containerd/io.containerd")) for mount in mounts),
        cgroups=len(pods),
    )


def active_snapshots(node: Node) -> int:
    """Those containers write to; those of images are not counted."""
    lines = node.ctr("snapshots", "ls").splitlines()[1:]
    return sum(line.split()[-1] == "Active" for line in lines if line.split())


def of_pod(path: Path) -> bool:
    """Whether a control group is a pod's or in one: kubepods/[burstable/|besteffort/]pod<uid>[/<container>]."""
    parts = path.parts
    return "kubepods" in parts and any(part.startswith("pod") for part in parts[parts.index("kubepods") + 1 :])


def command(pid: int) -> str:
    return read(Path(f"/proc/{pid}/comm")).strip()


def read(path: Path) -> str:
    """Empty when it went away meanwhile."""
    try:
        return path.read_text()
    except OSError:
        return ""
