"""The wires: a bridge per cluster, a network namespace and a cable per node, and the way from every pod to the machine.

Pods reach each other and the machine's runtime address with their own source address; what leaves the pod network is
masqueraded by the node. That is what k3s's flannel does on a LAN (host-gw), with static routes in its place.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from tests.cluster.ranges import Ranges


def ip(*arguments: str, check: bool = True) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def namespaces() -> set[str]:
    """Names of the network namespaces in /run/netns."""
    output = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in output.splitlines() if line}


@dataclass(frozen=True, slots=True)
class Wires:
    """The network of one cluster. `prefix` begins the names of its namespaces."""

    prefix: str
    ranges: Ranges
    count: int

    @property
    def bridge(self) -> str:
        return f"ec{self.ranges.slot}"

    def namespace(self, index: int) -> str:
        return f"{self.prefix}{index}"

    def cable(self, index: int) -> str:
        return f"ec{self.ranges.slot}n{index}"

    def lay(self) -> None:
        """Make the bridge and give the machine its two addresses and a route to each node's pods."""
        ip("link", "add", self.bridge, "type", "bridge")
        ip("addr", "add", f"{self.ranges.gateway}/{self.ranges.nodes.prefixlen}", "dev", self.bridge)
        ip("addr", "add", f"{self.ranges.runtime}/32", "dev", self.bridge)
        ip("link", "set", self.bridge, "up")
        for index in range(1, self.count + 1):
            # from the runtime address, so that a process here that speaks first to a pod is known as what pods know
            way = ["via", str(self.ranges.node(index)), "src", str(self.ranges.runtime)]
            ip("route", "add", str(self.ranges.node_pods(index)), *way)

    def attach(self, index: int) -> None:
        """Give a node its namespace, as after a boot: nothing in it but its cable."""
        name, cable = self.namespace(index), self.cable(index)
        ip("netns", "add", name)
        ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("link", "set", cable, "master", self.bridge, "up")
        ip("-n", name, "addr", "add", f"{self.ranges.node(index)}/{self.ranges.nodes.prefixlen}", "dev", "eth0")
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", name, "route", "add", "default", "via", str(self.ranges.gateway))
        for other in range(1, self.count + 1):
            if other != index:
                ip("-n", name, "route", "add", str(self.ranges.node_pods(other)), "via", str(self.ranges.node(other)))
        rules = (
            "table ip edge { chain leaving { type nat hook postrouting priority srcnat\n"
            f"ip saddr {self.ranges.pods} ip daddr != {self.ranges.pods} oifname eth0 masquerade\n}}\n}}"
        )
        inside = ["nsenter", f"--net=/run/netns/{name}"]
        subprocess.run([*inside, "sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)
        subprocess.run([*inside, "nft", rules], check=True)

    def detach(self, index: int) -> None:
        """Remove the namespace and with it the cable."""
        ip("link", "del", self.cable(index), check=False)
        ip("netns", "del", self.namespace(index), check=False)

    def plug(self, index: int, state: str) -> None:
        """`up` or `down`: the cable of a node."""
        ip("link", "set", self.cable(index), state)

    def remove(self) -> None:
        """Remove everything with this cluster's names, also of a run that was killed half-way."""
        for name in namespaces():
            if name.startswith(self.prefix) and name.removeprefix(self.prefix).isdigit():
                self.detach(int(name.removeprefix(self.prefix)))
        ip("link", "del", self.bridge, check=False)
