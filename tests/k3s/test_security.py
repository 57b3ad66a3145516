"""What edge-functions refuses, and that it takes the pods the agent makes. NetworkPolicies are tried as objects only: k3s
enforces them with kube-router, which is not part of the test cluster."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from edge_agent.adapters.cluster_kubernetes.api import Connection
from edge_agent.adapters.cluster_kubernetes.pods.belongings import policy
from edge_agent.adapters.cluster_kubernetes.pods.document import Site, pod
from edge_agent.domain.function import FunctionSpec
from edge_agent.errors import Refused
from tests.cluster import Cluster
from tests.k3s.kustomize import objects, only
from tests.waiting import eventually

SITE = Site("edge-functions", "home", "10.42.0.1", 8090)
SECRETS = [{"secret": {"name": "edge-smtp", "items": [{"key": "password", "path": "smtp/password"}]}}]
DRY = "?dryRun=All&fieldValidation=Strict"
PODS = f"/api/v1/namespaces/edge-functions/pods{DRY}"


@pytest.fixture(scope="module", autouse=True)
def _quota(cluster: Cluster) -> None:
    """Before Kubernetes has counted once, it takes no pod."""
    path = "/api/v1/namespaces/edge-functions/resourcequotas"
    eventually(
        lambda: all(item.get("status", {}).get("hard") for item in cluster.control.get(path)["items"]), timeout=60
    )


def made(**more: Any) -> dict[str, Any]:
    return pod("send-mail-1", "tok", FunctionSpec("send-mail", image="edge.test/x:1", **more), [], SITE)


@pytest.mark.parametrize("isolation", ["pod", "process", "shared"])
def test_the_pod_the_agent_makes_is_taken(admin: Connection, isolation: Any) -> None:
    spec = FunctionSpec("send-mail", image="x", args=("a.b",), isolation=isolation, env={"A": "b"}, secrets=("smtp",))
    stored = admin.create(PODS, pod("send-mail-1", "tok", spec, SECRETS, SITE))
    assert stored["spec"]["priority"] < 0
    assert stored["spec"]["preemptionPolicy"] == "Never"


def test_the_policy_the_agent_makes_is_taken(admin: Connection) -> None:
    addresses = ("10.0.0.2:25", "10.0.0.2", "10.1.0.5/16", "[fd00::2]:25", "fd00::/8", "10.0.0.0/255.255.255.0")
    item = policy(FunctionSpec("send-mail", egress=addresses), SITE)
    stored = admin.create(f"/apis/networking.k8s.io/v1/namespaces/edge-functions/networkpolicies{DRY}", item)
    assert len(stored["spec"]["egress"]) == len(addresses)


def changed(path: list[Any], value: Any) -> dict[str, Any]:
    item = copy.deepcopy(made())
    inner: Any = item["spec"]
    for step in path[:-1]:
        inner = inner[step]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return item


OWN = ["containers", 0, "securityContext"]
HIGH = {"system-node-critical": 2000001000, "system-cluster-critical": 2000000000, "edge-data": 100000}


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ([*OWN, "privileged"], True, "privileged"),
        (["securityContext", "runAsUser"], 0, "runAsUser=0"),
        (["securityContext", "runAsNonRoot"], None, "runAsNonRoot != true"),
        (["securityContext", "seccompProfile"], None, "seccompProfile"),
        ([*OWN, "allowPrivilegeEscalation"], True, "allowPrivilegeEscalation != false|cannot set"),
        ([*OWN, "capabilities"], {"drop": ["ALL"], "add": ["NET_ADMIN"]}, "capabilities"),
        (["hostNetwork"], True, "host namespaces"),
        (["hostPID"], True, "host namespaces"),
        (["volumes", 0], {"name": "tmp", "hostPath": {"path": "/"}}, "hostPath"),
        (["containers", 0, "resources", "limits", "memory"], "999Gi", "exceeded quota: functions"),
        (
            ["containers", 0, "resources", "requests", "cpu"],
            "200",
            "must be less than or equal to cpu limit|exceeded quota",
        ),
        *((["priorityClassName"], name, "exceeded quota: no-high-priority") for name in HIGH),
    ],
)
def test_what_a_function_must_not_be_is_refused(admin: Connection, path: list[Any], value: Any, says: str) -> None:
    with pytest.raises(Refused) as caught:
        admin.create(PODS, changed(path, value))
    assert any(each in str(caught.value) for each in says.split("|")), caught.value


def test_a_pod_that_says_nothing_of_resources_gets_a_small_share(admin: Connection) -> None:
    stored = admin.create(PODS, changed(["containers", 0, "resources"], None))
    assert stored["spec"]["containers"][0]["resources"] == {
        "limits": {"memory": "64Mi", "cpu": "250m"},
        "requests": {"memory": "16Mi", "cpu": "5m"},
    }


@pytest.mark.parametrize(
    ("path", "item"),
    [
        ("services", {"kind": "Service", "spec": {"type": "NodePort", "ports": [{"port": 1}]}}),
        ("services", {"kind": "Service", "spec": {"type": "LoadBalancer", "ports": [{"port": 1}]}}),
        ("services", {"kind": "Service", "spec": {"ports": [{"port": 1}]}}),
        (
            "persistentvolumeclaims",
            {
                "kind": "PersistentVolumeClaim",
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            },
        ),
    ],
)  # fmt: skip
def test_functions_have_no_services_and_no_disks(admin: Connection, path: str, item: dict[str, Any]) -> None:
    whole = {"apiVersion": "v1", "metadata": {"name": "x"}, **item}
    with pytest.raises(Refused, match="exceeded quota: functions"):
        admin.create(f"/api/v1/namespaces/edge-functions/{path}{DRY}", whole)


def test_mongodb_may_run_where_it_is_to_run(cluster: Cluster, admin: Connection) -> None:
    template = only(objects("mongodb"), "StatefulSet", "mongodb")["spec"]["template"]
    item = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "mongodb-0", **template["metadata"]},
        "spec": template["spec"],
    }
    item["spec"]["serviceAccountName"] = "default"
    item["spec"]["volumes"] = [*item["spec"]["volumes"], {"name": "data", "emptyDir": {}}]
    stored = admin.create(f"/api/v1/namespaces/edge-system/pods{DRY}", item)
    assert stored["spec"]["priority"] == HIGH["edge-data"]
