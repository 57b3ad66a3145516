"""A cluster that is there already, a user's own k3s: named by `EDGE_TEST_KUBECONFIG`, used with the kubectl on the path.

Tests make and delete objects in it, so it must have no functions and rules of its own; k3s/base stays in it. A test that has to
kill a part of it, or to look into a node, is skipped with the reason.
`EDGE_TEST_RUNTIME_ADDRESS` is the address of this machine inside its pod network (on a k3s node: that of cni0), without which
no pod can reach the tests. `EDGE_TEST_LOAD` is a shell command that imports the image archive on its standard input into the
nodes (on a k3s node: `k3s ctr images import -`).
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import pytest

from tests.cluster import pki
from tests.cluster.images import Image

KUBECONFIG = "EDGE_TEST_KUBECONFIG"
RUNTIME_ADDRESS = "EDGE_TEST_RUNTIME_ADDRESS"
LOAD = "EDGE_TEST_LOAD"
OURS = ("pods", "efn", "erule")


class NotPossibleHere(pytest.skip.Exception):
    """Asked of a cluster that is not ours: to kill a part of it, to look into a node. Skips the test that asks."""


@dataclass(frozen=True, slots=True)
class OwnNode:
    """A node of it, as the API server tells."""

    name: str
    ip: str
    pod_cidr: str

    def __getattr__(self, name: str) -> NoReturn:
        raise _unless_private(name, f"do '{name}' to the node {self.name}")


@dataclass(frozen=True, slots=True)
class OwnControl:
    """Its API server."""

    cluster: OwnCluster

    def get(self, path: str) -> Any:
        """GET as whoever the kubeconfig says; the decoded JSON. RuntimeError: an answer of 400 or more, or none."""
        return json.loads(self.cluster.kubectl("get", "--raw", path))

    def __getattr__(self, name: str) -> NoReturn:
        raise _unless_private(name, f"do '{name}' to the control plane")


class OwnCluster:
    """As a Cluster: `kubeconfig`, `kubectl`, `apply`, `load`, `control.get`, `kubeconfig_for`, `nodes`, `runtime_address`."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.name = "own"
        self.control = OwnControl(self)

    def __enter__(self) -> OwnCluster:
        """Raises RuntimeError when it cannot be reached, or is in use."""
        self.kubectl("version")
        for kind in OURS:  # nobody has the definitions before k3s/base is applied
            found = self.kubectl("get", kind, "-n", "edge-functions", "-o", "name", check=False).split()
            if found:
                raise RuntimeError(
                    f"the cluster of {KUBECONFIG} is in use: {', '.join(found[:3])} in edge-functions; tests delete what "
                    "they find there: give them a cluster that no agent uses"
                )
        self._folder = tempfile.TemporaryDirectory(prefix="edge-own-cluster-")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def kubectl(self, *arguments: str | Path, stdin: str | None = None, check: bool = True) -> str:
        return kubectl("kubectl", self.kubeconfig, arguments, stdin=stdin, check=check)

    def apply(self, *documents: Mapping[str, Any]) -> None:
        self.kubectl(
            "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)})
        )

    def load(self, *images: Image | Path) -> None:
        """Import images into every node, by the user's own command."""
        if LOAD not in os.environ:
            raise _not(f"import images: set {LOAD} (on a k3s node: 'k3s ctr images import -')")
        for image in images:
            archive = image.read_bytes() if isinstance(image, Path) else image.archive()
            subprocess.run(os.environ[LOAD], shell=True, input=archive, check=True)

    def kubeconfig_for(self, service_account: str, namespace: str, hours: int = 24) -> Path:
        """A kubeconfig with a token of a service account that exists, in a folder that goes with the `with` block."""
        view = self.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json")
        cluster = json.loads(view)["clusters"][0]["cluster"]
        token = self.kubectl("create", "token", service_account, "-n", namespace, f"--duration={hours}h").strip()
        file = Path(self._folder.name) / f"{namespace}-{service_account}.kubeconfig"
        authority = base64.b64decode(cluster["certificate-authority-data"])
        return pki.kubeconfig(file, cluster["server"], authority, {"token": token}, namespace)

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
            raise _not(f"guess this machine's address in its pod network: set {RUNTIME_ADDRESS} (on a node: cni0's)")
        return os.environ[RUNTIME_ADDRESS]

    def __getattr__(self, name: str) -> NoReturn:
        raise _unless_private(name, f"do '{name}'")


def _not(what: str) -> NotPossibleHere:
    return NotPossibleHere(
        f"{KUBECONFIG} names a cluster of yours: the tests cannot {what} there; unset it for one of their own"
    )


def _unless_private(name: str, what: str) -> BaseException:
    return AttributeError(name) if name.startswith("_") else _not(what)


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
