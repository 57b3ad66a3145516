"""The agent's account may do what the agent does, and nothing else: the API server's audit log of an agent at work against
k3s/base/rights.yaml, and the API server's own word on every resource and verb it knows."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from edge_agent.adapters.cluster_kubernetes.api import Connection
from edge_agent.adapters.cluster_kubernetes.pods import Belongings, Gate, KubernetesRunner, Marks, Site
from edge_agent.adapters.cluster_kubernetes.pods.document import pod
from edge_agent.domain.function import FunctionSpec
from edge_agent.engine.functions.loop import Loop
from edge_agent.ports import Runner
from edge_agent.runtime_api.server import RuntimeServer
from tests.agent import Agent
from tests.broker import Broker, free_port
from tests.cluster import Cluster, busybox
from tests.conformance import test_runner as conformance
from tests.k3s.kustomize import objects, only
from tests.kubernetes.ground import ENTRY, IMAGE, serving, shell
from tests.waiting import eventually

ACCOUNT = "system:serviceaccount:edge-system:edge-agent"
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
SPECIAL = (
    ("", "serviceaccounts", "impersonate"), ("", "users", "impersonate"), ("", "groups", "impersonate"),
    ("", "pods/exec", "create"),
    ("", "serviceaccounts/token", "create"), ("rbac.authorization.k8s.io", "roles", "bind"),
    ("rbac.authorization.k8s.io", "roles", "escalate"), ("rbac.authorization.k8s.io", "clusterroles", "bind"),
    ("rbac.authorization.k8s.io", "clusterroles", "escalate"), ("certificates.k8s.io", "signers", "approve"), ("*", "*", "*"),
)  # fmt: skip
EVERYBODY = {
    ("authorization.k8s.io", "selfsubjectaccessreviews", "create"),
    ("authorization.k8s.io", "selfsubjectrulesreviews", "create"),
    ("authentication.k8s.io", "selfsubjectreviews", "create"),
}
"""What Kubernetes lets every account do: ask about itself (system:basic-user)."""
Right = tuple[str, str, str]
"""API group, resource, verb."""


def granted(kind: str) -> set[Right]:
    return {
        right
        for rule in only(objects("one-pi"), kind, "edge-agent")["rules"]
        for right in itertools.product(rule["apiGroups"], rule["resources"], rule["verbs"])
    }


@pytest.fixture(scope="module")
def kubeconfig(cluster: Cluster) -> Path:
    return cluster.kubeconfig_for("edge-agent", "edge-system")


@pytest.fixture(scope="module")
def agent_itself(kubeconfig: Path) -> Iterator[Connection]:
    connection = Connection(kubeconfig)
    yield connection
    connection.close()


# -- nothing else is allowed


def known(cluster: Cluster) -> Iterator[tuple[str, str, bool]]:
    """(group, resource or resource/subresource, whether it lives in a namespace) of all this API server has."""
    versions = ["/api/v1"]
    versions += [
        f"/apis/{version['groupVersion']}"
        for group in cluster.control.get("/apis")["groups"]
        for version in group["versions"]
    ]
    for path in versions:
        group = path.removeprefix("/apis/").partition("/")[0] if path != "/api/v1" else ""
        for resource in cluster.control.get(path)["resources"]:
            yield group, resource["name"], resource["namespaced"]


def may(account: Connection, right: Right, namespace: str) -> bool:
    group, resource, verb = right
    resource, _, subresource = resource.partition("/")
    what = {"group": group, "resource": resource, "subresource": subresource, "verb": verb, "namespace": namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": what},
    }
    return bool(account.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)["status"]["allowed"])


def test_nothing_else_is_allowed_anywhere(cluster: Cluster, agent_itself: Connection) -> None:
    resources = set(known(cluster))
    assert len(resources) > 80
    questions = [
        ((group, resource, verb), namespace)
        for group, resource, namespaced in resources
        for verb in VERBS
        for namespace in (("edge-functions", "edge-system", "kube-system", "") if namespaced else ("",))
    ]
    questions += [
        (right, namespace) for right in SPECIAL for namespace in ("edge-functions", "edge-system", "kube-system", "")
    ]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda question: may(agent_itself, *question), questions))
    allowed = {question for question, answer in zip(questions, answers, strict=True) if answer}
    assert {right for right, namespace in allowed if namespace == "edge-functions"} == granted("Role")
    assert {right for right, namespace in allowed if namespace == ""} == granted("ClusterRole") | EVERYBODY
    assert {namespace for _, namespace in allowed} == {"edge-functions", ""}


# -- all of it is needed


WORK = serving("works", isolation="shared")
ENDS = shell("ends", "echo cannot go on; exit 3")


def manifest(spec: FunctionSpec, topic: str) -> dict[str, Any]:
    return {
        "apiVersion": "edge.internal/v1alpha1",
        "kind": "Function",
        "metadata": {"name": spec.name, "namespace": "edge-functions"},
        "spec": {
            "image": spec.image,
            "command": list(spec.command),
            "args": list(spec.args),
            "env": dict(spec.env),
            "isolation": spec.isolation,
            "egress": ["10.0.0.2:25"],
            "secrets": ["smtp"],
            "pool": {"minIdle": 1, "maxWorkers": 1},
            "triggers": [{"topic": topic}],
        },
    }


RULE = {
    "apiVersion": "edge.internal/v1alpha1",
    "kind": "Rule",
    "metadata": {"name": "tank-low", "namespace": "edge-functions"},
    "spec": {"reading": "level", "below": 20},
}


def done(cluster: Cluster) -> set[Right]:
    """What the account was allowed to do so far. A server-side apply that made something needed `create` beside `patch`."""
    groups = {resource: group for group, resource, _ in granted("Role") | granted("ClusterRole")}
    found = set()
    for entry in cluster.audit(ACCOUNT):
        what = f"{entry.resource}/{entry.subresource}" if entry.subresource else entry.resource
        if entry.code < 400 and what in groups:
            found.add((groups[what], what, entry.verb))
            if (entry.verb, entry.code) == ("patch", 201):
                found.add((groups[what], what, "create"))
    return found


def refused(cluster: Cluster) -> set[tuple[str, str, str]]:
    return {(entry.resource, entry.subresource, entry.verb) for entry in cluster.audit(ACCOUNT) if entry.code == 403}


def create_twice(cluster: Cluster, kubeconfig: Path, folder: Path) -> None:
    """As after an answer that was lost: the pod that is asked for is there already."""
    connection = Connection(kubeconfig)
    site = Site("edge-functions", "other", cluster.runtime_address, free_port())
    spec = FunctionSpec("twice", image=IMAGE)
    there = pod("twice-1", "tok", spec, [], site)
    there["metadata"]["labels"]["edge.internal/site"] = (
        "third"  # or the runner would take it for one of an earlier life
    )
    cluster.apply(there)

    def make(loop: Loop, server: RuntimeServer, engine: conformance.Engine) -> Runner:
        return KubernetesRunner(
            loop, Gate(server, (site.address, site.port)), engine, connection, site,
            belongings=Belongings(connection, site, folder), marks=Marks(folder / "marks"), declared=dict,
        )  # fmt: skip

    with conformance.staged(make, lambda _name: spec) as stage:
        stage.start("twice-1", "twice")
        eventually(lambda: stage.runner.counts["created"] == 1)  # type: ignore[attr-defined]
    connection.close()


@pytest.mark.timeout(300)
def test_each_right_is_used_by_an_agent_at_work_and_none_is_missed(
    cluster: Cluster, kubeconfig: Path, tmp_path: Path
) -> None:
    image = busybox(IMAGE, {"usr/local/bin/edge-entry": ENTRY.read_bytes()}, entrypoint=("/usr/local/bin/edge-entry",))
    cluster.load(image.write(tmp_path / "function.tar"))
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "smtp").write_text("hush")
    settings = {
        "functions.runner": "kubernetes", "functions.secrets_dir": str(tmp_path / "secrets"),
        "kubernetes.kubeconfig": str(kubeconfig), "kubernetes.manifests": True,
        "kubernetes.runtime_address": cluster.runtime_address, "kubernetes.runtime_port": free_port(),
    }  # fmt: skip
    wanted = granted("Role") | granted("ClusterRole")

    def left() -> list[Right]:
        return sorted(wanted - done(cluster))

    with Broker() as broker, Agent(tmp_path / "agent", broker.port, settings=settings) as agent:
        cluster.apply(manifest(WORK, "a/work"), manifest(ENDS, "a/end"), RULE)
        eventually(lambda: ready(cluster, "works"), timeout=90)
        agent.get("/checks")
        eventually(lambda: ("", "pods/log", "get") not in left(), timeout=60)
        for glob in ("[c-a]", "[d-a]"):  # what happens again is counted in the same Event
            cluster.apply({**RULE, "spec": {**RULE["spec"], "devices": glob}})
            eventually(
                lambda glob=glob: glob in condition(cluster, "erule", "tank-low", "Accepted")["message"], timeout=30
            )
        cluster.kubectl("delete", "efn", "works", "ends", "-n", "edge-functions")
        cluster.kubectl("delete", "erule", "tank-low", "-n", "edge-functions")
        eventually(lambda: not {("", "pods", "delete"), ("", "secrets", "delete")} & set(left()), timeout=60)
        create_twice(cluster, kubeconfig, tmp_path)
    eventually(lambda: left() == [], timeout=30)  # what happened again was told at the latest when the agent stopped
    assert refused(cluster) == set()


def condition(cluster: Cluster, kind: str, name: str, type_: str) -> dict[str, str]:
    found = json.loads(cluster.kubectl("get", kind, name, "-n", "edge-functions", "-o", "json"))
    conditions = {each["type"]: each for each in found.get("status", {}).get("conditions", ())}
    assert type_ in conditions, found
    return conditions[type_]


def ready(cluster: Cluster, name: str) -> bool:
    return condition(cluster, "efn", name, "Ready")["status"] == "True"
