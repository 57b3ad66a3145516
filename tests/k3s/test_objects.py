"""The files by themselves: well written, true to Kubernetes' own schemas, and what they say about pods and numbers adds up."""

from __future__ import annotations

import copy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from edge_agent.adapters.cluster_kubernetes.pods.document import LEAST_REQUEST, PRIORITY
from edge_agent.domain.function import FunctionSpec, MiB
from edge_agent.domain.quantities import parse_cpu, parse_size
from edge_agent.settings.kubernetes import Kubernetes
from tests.k3s.kustomize import K3S, OVERLAYS, objects, only, rendered

VERSION = "1.36"


def test_every_file_is_written_as_yamllint_wants_it() -> None:
    command = [Path(sys.executable).with_name("yamllint"), "--strict", "-c", K3S / ".yamllint", K3S]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == ""


def faults(item: dict[str, Any]) -> str:
    try:
        kubernetes_validate.validate(item, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{item['kind']} {item['metadata']['name']}: {error}"
    return ""


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_is_true_to_the_schema_of_its_kind(overlay: str) -> None:
    assert [found for item in objects(overlay) if (found := faults(item))] == []


@pytest.mark.parametrize(
    ("kind", "name", "path", "wrong"),
    [
        ("NetworkPolicy", "runtime-api", ["spec"], "egres"),
        (
            "StatefulSet",
            "mongodb",
            ["spec", "template", "spec", "containers", 0, "securityContext"],
            "readOnlyRootFileSystem",
        ),
        ("ResourceQuota", "functions", ["spec"], "hrad"),
        ("CustomResourceDefinition", "rules.edge.internal", ["spec", "names"], "shortName"),
        ("Role", "edge-agent", ["rules", 0], "verb"),
    ],
)
def test_a_misspelt_field_would_fail(kind: str, name: str, path: list[Any], wrong: str) -> None:
    item = copy.deepcopy(only(objects("mongodb"), kind, name))
    inner: Any = item
    for step in path:
        inner = inner[step]
    inner[wrong] = ["x"]
    assert wrong in faults(item)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_may_ask_where_the_agent_listens_and_nowhere_else(overlay: str) -> None:
    policy = only(objects(overlay), "NetworkPolicy", "runtime-api")["spec"]
    assert policy["egress"] == [
        {
            "to": [{"ipBlock": {"cidr": "10.42.0.1/32"}}],
            "ports": [{"port": Kubernetes().runtime_port, "protocol": "TCP"}],
        }
    ]
    deny = only(objects(overlay), "NetworkPolicy", "deny-all", "edge-functions")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_the_address_is_changed_in_one_file(tmp_path: Path) -> None:
    shutil.copytree(K3S, tmp_path / "k3s")
    runtime = tmp_path / "k3s" / "overlays" / "shelf" / "runtime.yaml"
    runtime.write_text(runtime.read_text().replace("10.42.0.1", "10.200.3.1").replace("8090", "9000"))
    made = list(yaml.safe_load_all(rendered(runtime.parent)))
    policy = only(made, "NetworkPolicy", "runtime-api")["spec"]
    assert policy["egress"][0]["to"] == [{"ipBlock": {"cidr": "10.200.3.1/32"}}]
    assert policy["egress"][0]["ports"] == [{"port": 9000, "protocol": "TCP"}]
    assert not [item for item in made if item["kind"] == "ConfigMap"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_carries_a_secret(overlay: str) -> None:
    secrets = [item for item in objects(overlay) if item["kind"] == "Secret"]
    assert [item for item in secrets if item.get("data") or item.get("stringData")] == []
    assert {item["type"] for item in secrets} == {"kubernetes.io/service-account-token"}


def test_a_pod_that_says_nothing_gets_what_a_function_that_says_nothing_gets() -> None:
    [limit] = only(objects("one-pi"), "LimitRange", "functions")["spec"]["limits"]
    plain = FunctionSpec(name="")
    assert parse_size(limit["default"]["memory"]) == plain.memory
    assert parse_cpu(limit["default"]["cpu"]) == plain.cpu
    assert parse_size(limit["defaultRequest"]["memory"]) == max(LEAST_REQUEST, plain.memory // 4)
    assert parse_cpu(limit["defaultRequest"]["cpu"]) == plain.cpu / 50


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_quota_of_pods_is_reached_before_its_memory_by_functions_of_64_mib(overlay: str) -> None:
    hard = only(objects(overlay), "ResourceQuota", "functions")["spec"]["hard"]
    pods = int(hard["pods"])
    assert pods * 16 * MiB <= parse_size(hard["requests.memory"]) + 64 * MiB
    assert pods * 64 * MiB <= parse_size(hard["limits.memory"])
    assert pods * 0.25 <= parse_cpu(hard["limits.cpu"])


def test_a_function_never_pushes_anything_out() -> None:
    function = only(objects("mongodb"), "PriorityClass", PRIORITY)
    data = only(objects("mongodb"), "PriorityClass", "edge-data")
    assert function["preemptionPolicy"] == "Never"
    assert function["value"] < 0 < data["value"] < 10**9
    assert (
        only(objects("mongodb"), "StatefulSet", "mongodb")["spec"]["template"]["spec"]["priorityClassName"]
        == "edge-data"
    )
