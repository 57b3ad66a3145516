"""The files on a real API server: applied, applied again, looked at as people look at them, and removed without a trace."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from edge_agent.adapters.cluster_kubernetes.api import Connection
from tests.cluster import Cluster
from tests.k3s.conftest import install
from tests.k3s.kustomize import EXAMPLES, K3S, OVERLAYS, objects, rendered

NAMESPACED = "/apis/edge.internal/v1alpha1/namespaces/edge-functions"
STATUS = {
    "observedGeneration": 1, "servingGeneration": 1, "version": "0123456789abcdef",
    "workers": {"starting": 0, "idle": 1, "busy": 2}, "ready": "3/4", "queued": 7, "deadLetters": 0,
    "lastError": "exit code 3: no route to host",
    "conditions": [
        {"type": kind, "status": "True", "reason": reason, "message": "", "observedGeneration": 1,
         "lastTransitionTime": "2026-01-01T00:00:00Z"}
        for kind, reason in (("Accepted", "Valid"), ("Ready", "Serving"))
    ],
}  # fmt: skip


def versions(cluster: Cluster, overlay: str) -> dict[str, str]:
    """What changes with each change of an object: its generation, or where it has none its resourceVersion."""
    found = json.loads(cluster.kubectl("get", "-o", "json", "-f", "-", stdin=rendered(K3S / "overlays" / overlay)))
    kept = [(item["kind"], item["metadata"]) for item in found["items"]]
    return {f"{kind}/{meta['name']}": str(meta.get("generation") or meta["resourceVersion"]) for kind, meta in kept}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_applied_twice_is_unchanged(cluster: Cluster, overlay: str) -> None:
    install(cluster, overlay)
    install(cluster, overlay)  # quotas and the token are filled in by Kubernetes after the first
    before = versions(cluster, overlay)
    assert cluster.kubectl("diff", "--server-side", "-k", K3S / "overlays" / overlay) == ""
    install(cluster, overlay)
    assert versions(cluster, overlay) == before
    if overlay != "one-pi":
        install(cluster)
        cluster.kubectl("delete", "statefulset,service,serviceaccount/mongodb", "-n", "edge-system", "-l",
                        "app.kubernetes.io/name=mongodb", check=False)  # fmt: skip


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_is_applied_and_seen(cluster: Cluster, file: Any) -> None:
    said = cluster.kubectl("apply", "-f", file)
    assert set(re.findall(r" (\w+)$", said, re.M)) == {"created"}
    assert set(re.findall(r" (\w+)$", cluster.kubectl("apply", "-f", file), re.M)) == {"unchanged"}
    listed = cluster.kubectl("get", "edge", "-n", "edge-functions", "-o", "name")
    assert set(re.findall(r"^(\S+) created", said, re.M)) <= set(listed.split())
    cluster.kubectl("delete", "-f", file)


def test_get_tells_what_one_wants_to_know(cluster: Cluster, admin: Connection) -> None:
    cluster.kubectl("apply", "-f", K3S / "examples" / "function.yaml")
    admin.merge(f"{NAMESPACED}/functions/send-mail/status", {"status": STATUS})
    head, line = cluster.kubectl("get", "efn", "send-mail", "-n", "edge-functions").splitlines()
    assert re.split(r"  +", head.strip()) == [
        "NAME", "ACCEPTED", "READY", "WORKERS", "IDLE", "BUSY", "QUEUED", "LAST ERROR", "AGE"
    ]  # fmt: skip
    assert re.split(r"  +", line.strip())[:8] == [
        "send-mail",
        "True",
        "True",
        "3/4",
        "1",
        "2",
        "7",
        "exit code 3: no route to host",
    ]
    wide = cluster.kubectl("get", "efn", "send-mail", "-n", "edge-functions", "-o", "wide")
    assert "Serving" in wide
    assert "send-mail:1.0.0" in wide
    rule = {
        "observedGeneration": 1,
        "firing": 2,
        "lastFired": "2026-01-01T00:00:00Z",
        "conditions": STATUS["conditions"][:1],
    }
    admin.merge(f"{NAMESPACED}/rules/tank-low/status", {"status": rule})
    head, line = cluster.kubectl("get", "erule", "tank-low", "-n", "edge-functions").splitlines()
    assert re.split(r"  +", head.strip()) == [
        "NAME", "ACCEPTED", "DEVICES", "READING", "SEVERITY", "FIRING", "LAST FIRED", "AGE"
    ]  # fmt: skip
    assert re.split(r"  +", line.strip())[:6] == ["tank-low", "True", "tank-*", "level", "critical", "2"]
    cluster.kubectl("delete", "-f", K3S / "examples" / "function.yaml")


def test_a_status_is_stored_whole_and_changes_no_spec(cluster: Cluster, admin: Connection) -> None:
    cluster.kubectl("apply", "-f", K3S / "examples" / "function.yaml")
    path = f"{NAMESPACED}/functions/send-mail"
    stored = admin.merge(f"{path}/status", {"status": STATUS, "spec": {"image": "other"}})
    assert stored["status"] == STATUS
    assert stored["spec"]["image"] != "other"
    assert stored["metadata"]["generation"] == 1
    assert (
        "status" not in admin.merge(path, {"spec": {"timeout": "31s"}, "status": None})
        or admin.get(path)["status"] == STATUS
    )
    cluster.kubectl("delete", "-f", K3S / "examples" / "function.yaml")


@pytest.mark.parametrize("kind", ["efn", "erule"])
def test_explain_says_something_of_every_field(cluster: Cluster, kind: str) -> None:
    plural = {"efn": "functions", "erule": "rules"}[kind]
    said = cluster.kubectl("explain", f"{kind}.spec")
    definition = next(item for item in objects("one-pi") if item["metadata"]["name"] == f"{plural}.edge.internal")
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert spec["description"][:30] in said
    for name, field in spec["properties"].items():
        assert re.search(rf"^  {name}\t", said, re.M)
        assert field["description"]


def test_what_is_deleted_leaves_nothing(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", K3S / "examples" / "function.yaml")
    cluster.kubectl("delete", "--ignore-not-found", "--timeout=90s", "-k", K3S / "overlays" / "one-pi")
    try:
        left = [
            path
            for item in objects("mongodb")
            if (path := cluster.kubectl("get", "--ignore-not-found", "-o", "name", item["kind"], item["metadata"]["name"],
                                        "-n", item["metadata"].get("namespace", "default"), check=False).strip())
        ]  # fmt: skip
        assert left == []
        names = cluster.kubectl("api-resources", "-o", "name")
        assert "edge.internal" not in names
        for kind in ("clusterroles", "clusterrolebindings", "priorityclasses"):
            assert "edge-" not in cluster.kubectl("get", kind, "-o", "name")
    finally:
        install(cluster)
