"""Which addresses a cluster has. Each cluster running at the same time has a slot, each slot ranges of its own.

A slot is free when no folder of another cluster has it and no route of the machine overlaps its ranges.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from tests.cluster.needs import CannotRun

SLOTS = 40
NODE_PREFIX = 22
"""Pod addresses per node: 1,021, for a Linux bridge has 1,024 ports. 63 nodes fit."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """The networks of one slot."""

    slot: int

    @property
    def nodes(self) -> IPv4Network:
        return ipaddress.IPv4Network(f"10.{144 + self.slot}.0.0/24")

    @property
    def pods(self) -> IPv4Network:
        return ipaddress.IPv4Network(f"10.{64 + self.slot}.0.0/16")

    @property
    def services(self) -> IPv4Network:
        return ipaddress.IPv4Network(f"10.{104 + self.slot}.0.0/16")

    @property
    def gateway(self) -> IPv4Address:
        """The machine's address in the nodes' network; the API server listens there."""
        return self.nodes[1]

    @property
    def runtime(self) -> IPv4Address:
        """The machine's address in the pod network."""
        return self.pods[1]

    def node(self, index: int) -> IPv4Address:
        """Nodes are numbered from 1."""
        return self.nodes[10 + index]

    def node_pods(self, index: int) -> IPv4Network:
        """The first such range is the machine's: the runtime address is in it."""
        return list(self.pods.subnets(new_prefix=NODE_PREFIX))[index]

    def all(self) -> tuple[IPv4Network, ...]:
        return self.nodes, self.pods, self.services


def choose(taken: set[int]) -> Ranges:
    """The first free slot. Raises CannotRun."""
    output = subprocess.run(["ip", "-j", "-4", "route"], capture_output=True, text=True, check=True).stdout
    routes = [IPv4Network(route["dst"]) for route in json.loads(output or "[]") if route["dst"] != "default"]
    for slot in range(SLOTS):
        ranges = Ranges(slot)
        if slot not in taken and not any(ours.overlaps(route) for ours in ranges.all() for route in routes):
            return ranges
    raise CannotRun("no free address range for a test cluster: 10.64.0.0 to 10.183.0.255 are in use by other routes")
