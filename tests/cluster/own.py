"""A cluster that is there already, a user's own k3s: named by `EDGE_TEST_KUBECONFIG`, used with the kubectl on the path.

Tests make and delete objects in it; they cannot kill its parts, and say so. `EDGE_TEST_RUNTIME_ADDRESS` is the address of this
machine inside its pod network (on a k3s node: that of cni0), without which no pod can reach the tests.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

KUBECONFIG = "EDGE_TEST_KUBECONFIG"
RUNTIME_ADDRESS = "EDGE_TEST_RUNTIME_ADDRESS"


class NotPossibleHere(Exception):
    """Asked of a cluster that is not ours: to kill a part of it, to load an image into it."""


@dataclass(frozen=True, slots=True)
class OwnNode:
    """A node of it, as the API server tells."""

    name: str
    ip: str
    pod_cidr: str


class OwnCluster:
    """The same `kubeconfig`, `kubectl`, `apply`, `kubeconfig_for`, `nodes`, `runtime_address` as a Cluster."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.name = "own"

    def __enter__(self) -> OwnCluster:
        self.kubectl("version")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def kubectl(self, *arguments: str | Path, stdin: str | None = None, check: bool = True) -> str:
        return kubectl("kubectl", self.kubeconfig, arguments, stdin=stdin, check=check)

    def apply(self, *documents: Mapping[str, Any]) -> None:
        self.kubectl(
            "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)})
        )

    def kubeconfig_for(self, service_account: str, namespace: str, hours: int = 24) -> Path:
        raise self._not("make a file of a service account's token beside your own kubeconfig")

    @property
    def nodes(self) -> list[OwnNode]:
        items = json.loads(self.kubectl("get", "nodes", "-o", "json"))["items"]
        return [
            OwnNode(
                item["metadata"]["name"],
                next(each["address"] for each in item["status"]["addresses"] if each["type"] == "InternalIP"),
                item["spec"].get("podCIDR", ""),
            )
            for item in items
        ]

    @property
    def runtime_address(self) -> str:
        if RUNTIME_ADDRESS not in os.environ:
            raise self._not(
                f"guess this machine's address in its pod network: set {RUNTIME_ADDRESS} (on a node: cni0's)"
            )
        return os.environ[RUNTIME_ADDRESS]

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        raise self._not(f"do '{name}'")

    def _not(self, what: str) -> NotPossibleHere:
        return NotPossibleHere(
            f"{KUBECONFIG} names a cluster of yours: the tests cannot {what} there; unset it for one of their own"
        )


def kubectl(
    program: str | Path, kubeconfig: Path, arguments: Sequence[str | Path], *, stdin: str | None, check: bool
) -> str:
    """Raises RuntimeError with what kubectl said."""
    command = [str(program), f"--kubeconfig={kubeconfig}", *map(str, arguments)]
    # its cache of what the server offers would be shared with another cluster at the same address
    environment = {**os.environ, "KUBECACHEDIR": str(kubeconfig.parent / "kubectl-cache")}
    done = subprocess.run(command, input=stdin or "", capture_output=True, text=True, check=False, env=environment)
    if check and done.returncode:
        raise RuntimeError(f"kubectl {' '.join(command[2:])} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout
