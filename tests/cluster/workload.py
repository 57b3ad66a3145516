"""Small pods for the tests of the cluster itself."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.cluster.cluster import Cluster
from tests.waiting import eventually

TOOL = "edge.test/tool:1"


def pod(name: str, command: str, *, node: str = "", image: str = TOOL) -> dict[str, Any]:
    """A pod that runs a shell command once."""
    container = {
        "name": "main",
        "image": image,
        "command": ["/bin/sh", "-c", command],
        "imagePullPolicy": "IfNotPresent",
    }
    spec: dict[str, Any] = {
        "containers": [container],
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
    }
    if node:
        spec["nodeName"] = node
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def status(cluster: Cluster, name: str) -> dict[str, Any]:
    """Empty while the API server does not answer."""
    try:
        found: dict[str, Any] = cluster.control.get(f"/api/v1/namespaces/default/pods/{name}")["status"]
    except (OSError, RuntimeError):
        return {}
    return found


def await_phase(cluster: Cluster, name: str, *phases: str) -> dict[str, Any]:
    """Wait until the pod is in one of `phases`; its status."""

    def reached() -> dict[str, Any]:
        found = status(cluster, name)
        assert found.get("phase") in phases, json.dumps(found)
        return found

    return eventually(reached, timeout=90, every=0.2)


@contextmanager
def running(cluster: Cluster, command: str, *, node: str = "") -> Iterator[str]:
    """A pod for the length of a `with`; its name."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    cluster.apply(pod(name, command, node=node))
    try:
        yield name
    finally:
        cluster.kubectl("delete", "pod", name, "--force", "--grace-period=0", "--ignore-not-found", check=False)


def output(cluster: Cluster, command: str, *, node: str = "") -> str:
    """What a pod prints that runs `command` to its end."""
    with running(cluster, command, node=node) as name:
        await_phase(cluster, name, "Succeeded", "Failed")
        return cluster.kubectl("logs", name)
