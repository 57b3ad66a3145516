"""The cluster: starts it all, in parallel where it can, and hands out what tests need.

`EDGE_TEST_KUBECONFIG` names a kubeconfig of a cluster that is there already (a user's own k3s): `CurrentCluster` then gives
that one (own.py), which has the same `kubeconfig`, `kubectl` and `nodes` and says clearly what is not possible there.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.cluster import needs, pki, state
from tests.cluster.cgroups import Group
from tests.cluster.control import ControlPlane, Entry
from tests.cluster.images import Image
from tests.cluster.machine import Machine
from tests.cluster.network import Wires
from tests.cluster.node import Node, Parts
from tests.cluster.own import KUBECONFIG, OwnCluster, kubectl
from tests.cluster.program import Program
from tests.cluster.remains import Remains
from tests.waiting import eventually


class Cluster:
    """`with Cluster(nodes=3, name="mine") as cluster:` is ready when the block begins and gone when it ends.

    `cpus` limits each node to that many seconds of CPU per second. `max_pods` and `kubelet` (fields of KubeletConfiguration)
    are for all nodes. `node_grace` is the time in seconds after which a silent node is NotReady (50 is Kubernetes' own
    default). Raises CannotRun with what to do when the machine cannot.
    """

    def __init__(
        self,
        nodes: int = 1,
        name: str = "test",
        *,
        cpus: float | None = None,
        max_pods: int = 110,
        node_grace: int = 50,
        kubelet: Mapping[str, Any] | None = None,
    ) -> None:
        self.name, self._count, self._cpus = name, nodes, cpus
        self._grace = node_grace
        # a node renews its lease four times in its duration
        self._settings = {"maxPods": max_pods, "nodeLeaseDurationSeconds": node_grace * 4 // 5, **(kubelet or {})}
        self.nodes: list[Node] = []

    def __enter__(self) -> Cluster:
        needs.check()
        self._binaries = needs.binaries()
        self.folder, self.ranges = state.claim(self.name)
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End everything and leave nothing behind."""
        machines = [node.machine for node in self.nodes]
        if hasattr(self, "control"):
            machines.append(self.control.machine)
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(Machine.cut, machines))
        for program in self.programs.values():
            program.lost()
        state.release(self.name, self.ranges.slot)

    def _start(self) -> None:
        wires = Wires(state.prefix(self.name), self.ranges, self._count)
        authority = pki.Authority(self.folder / "pki", datetime.datetime.now(datetime.UTC))
        machine = Machine("control", self.folder / "control", Group(self.name, "control"), None)
        self.control = ControlPlane(machine, self.ranges, self._binaries, authority)
        self.control.programs["kube-controller-manager"].argv += [f"--node-monitor-grace-period={self._grace}s"]
        self.kubeconfig = self.control.kubeconfig(self.folder / "kubeconfig", self.control.admin)
        self.runtime_address = str(self.ranges.runtime)
        cni, runc = needs.cni_folder(), needs.program_path("runc")
        assert cni is not None
        assert runc is not None
        parts = Parts(self._binaries, cni, runc, authority.certificate, self._settings)
        wires.lay()
        for index in range(1, self._count + 1):
            node_name = f"node{index}"
            machine = Machine(node_name, self.folder / node_name, Group(self.name, node_name), wires.namespace(index))
            node = Node(index, machine, wires, parts)
            identity = authority.identity(node_name, f"system:node:{node_name}", "system:nodes", (node_name, node.ip))
            node.prepare(identity)
            self.control.kubeconfig(node.folder / "kubeconfig", identity)
            self.nodes.append(node)
        with ThreadPoolExecutor(max_workers=8) as pool:
            starts = [pool.submit(self.control.start), *(pool.submit(node.start) for node in self.nodes)]
            for start in starts:
                start.result()
        for node in self.nodes:
            node.limit_cpu(self._cpus)
            node.kubelet.start()
        self.wait_ready()

    def wait_ready(self, patience: float = 120.0) -> None:
        """Until every node that is on is Ready and pods can be made (the default service account is there)."""
        wanted = {node.name for node in self.nodes if node.machine.on}

        def ready() -> bool:
            try:
                missing = wanted - self.ready_nodes()
                self.control.get("/api/v1/namespaces/default/serviceaccounts/default")
            except (OSError, RuntimeError):
                return False
            for node in self.nodes:
                if node.name in missing and not node.kubelet.running:
                    raise RuntimeError(f"the kubelet of {node.name} ended:\n{node.kubelet.tail()}")
            return not missing

        eventually(ready, timeout=patience, every=0.2)

    def ready_nodes(self) -> set[str]:
        """Names of the nodes that are Ready, as the API server sees it."""
        items = self.control.get("/api/v1/nodes")["items"]
        return {
            item["metadata"]["name"]
            for item in items
            if any(
                each["type"] == "Ready" and each["status"] == "True" for each in item["status"].get("conditions", [])
            )
        }

    def kubectl(self, *arguments: str | Path, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl as administrator and return what it prints. Raises RuntimeError with what it said."""
        return kubectl(self._binaries / "kubectl", self.kubeconfig, arguments, stdin=stdin, check=check)

    def apply(self, *documents: Mapping[str, Any]) -> None:
        """`kubectl apply` of objects."""
        self.kubectl(
            "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)})
        )

    def kubeconfig_for(self, service_account: str, namespace: str, hours: int = 24) -> Path:
        """A kubeconfig with a token of a service account that exists."""
        token = self.kubectl("create", "token", service_account, "-n", namespace, f"--duration={hours}h").strip()
        ca = (self.folder / "pki" / "ca.crt").read_bytes()
        file = self.folder / f"{namespace}-{service_account}.kubeconfig"
        return pki.kubeconfig(file, self.control.server, ca, {"token": token}, namespace)

    def node(self, name: str) -> Node:
        """By its name; KeyError."""
        return {node.name: node for node in self.nodes}[name]

    @property
    def programs(self) -> dict[str, Program]:
        """All of them: `kine`, `apiserver`, `controller-manager`, `scheduler`, `kubelet/node1`, `containerd/node1` ..."""
        found = {}
        if hasattr(self, "control"):
            found.update({name.removeprefix("kube-"): program for name, program in self.control.programs.items()})
        for node in self.nodes:
            found.update({f"kubelet/{node.name}": node.kubelet, f"containerd/{node.name}": node.containerd})
        return found

    def load(self, *images: Image | Path, nodes: Iterable[Node] | None = None) -> None:
        """Import images into every node, or into some."""
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(lambda node: [node.load(image) for image in images], self.nodes if nodes is None else nodes))

    def audit(self, user: str | None = None) -> list[Entry]:
        """What was asked of the API server so far, by everybody or by `user` (`system:serviceaccount:NAMESPACE:NAME`)."""
        return [entry for entry in self.control.audit() if user in (None, entry.user)]

    def remains(self) -> Remains:
        """What all nodes that are on hold for pods."""
        return sum((node.remains() for node in self.nodes if node.machine.on), Remains())


def CurrentCluster(**options: Any) -> Cluster | OwnCluster:  # noqa: N802 - reads as what it returns
    """A new Cluster with these options, or the one that `EDGE_TEST_KUBECONFIG` names."""
    given = os.environ.get(KUBECONFIG)
    return OwnCluster(Path(given)) if given else Cluster(**options)
