"""Functions and rules as somebody with kubectl writes and reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cluster import Cluster, OwnCluster
from tests.waiting import eventually

NAMESPACE = "edge-functions"
GROUP = "edge.internal"
BASE = Path(__file__).parents[2] / "k3s" / "base"
ENTRY = Path(__file__).parents[2] / "images" / "entry" / "edge-entry"
IMAGE = "edge.test/res:1"
ACCOUNT = ("edge-agent", "edge-system")
PATH = f"/apis/{GROUP}/v1alpha1/namespaces/{NAMESPACE}"
WORKER = r"""
    cd "$TMPDIR" || exit 1
    B=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
    while /bin/busybox wget -q -S -O event $B/next 2>head; do
        ID=$(/bin/busybox sed -n 's/\r//; s/.*Lambda-Runtime-Aws-Request-Id: *//p' head)
        while [ -e "$DIARY/hold" ]; do /bin/busybox sleep 0.05; done
        echo "$VERSION $(/bin/busybox cat event)" >>"$DIARY/$AWS_LAMBDA_FUNCTION_NAME"  # one write
        [ -z "$FAIL" ] || { /bin/busybox wget -q -O /dev/null --post-data '{"errorMessage":"cannot"}' $B/$ID/error; continue; }
        /bin/busybox wget -q -O /dev/null --post-data '{}' $B/$ID/response
    done
"""


def prepare(cluster: Cluster | OwnCluster) -> None:
    """What every installation has: namespaces, definitions, quotas, the agent's account and its rights; ready for pods."""
    cluster.kubectl("apply", "-k", BASE)
    for plural in ("functions", "rules"):
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.{GROUP}"
        eventually(lambda path=path: established(cluster.control.get(path)), timeout=30)
    for kind, wanted in (("resourcequotas", 2), ("serviceaccounts", 1)):
        path = f"/api/v1/namespaces/{NAMESPACE}/{kind}"
        eventually(lambda path=path, wanted=wanted: known(cluster.control.get(path)["items"], wanted), timeout=30)


def known(items: list[dict[str, Any]], wanted: int) -> bool:
    """Are so many there, and have controllers said what they had to say of them? A quota without a status refuses all."""
    return len([item for item in items if "spec" not in item or "hard" in item.get("status", {})]) >= wanted


def established(definition: dict[str, Any]) -> bool:
    conditions = definition.get("status", {}).get("conditions", ())
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


class Objects:
    """The namespace, for one test."""

    def __init__(self, cluster: Cluster | OwnCluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.account = cluster.kubeconfig_for(*ACCOUNT)
        (folder / "code").mkdir(exist_ok=True)
        (folder / "code" / "main.sh").write_text(WORKER)

    def apply(self, *objects: dict[str, Any]) -> None:
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(items))

    def delete(self, kind: str, *names: str) -> None:
        self.cluster.kubectl("delete", "-n", NAMESPACE, kind, *names, "--ignore-not-found")

    def clear(self) -> None:
        self.cluster.kubectl("delete", "-n", NAMESPACE, "efn,erule", "--all", "--wait=false")  # none has finalizers

    def get(self, kind: str, name: str) -> Any:
        return self.cluster.control.get(f"{PATH}/{kind.lower()}s/{name}")

    def condition(self, kind: str, name: str, type: str) -> dict[str, Any]:
        """{} while it has none of the generation that is there."""
        found = self.get(kind, name)
        if found.get("status", {}).get("observedGeneration") != found["metadata"]["generation"]:
            return {}
        return next((each for each in found["status"].get("conditions", ()) if each["type"] == type), {})

    def is_condition(self, kind: str, name: str, *wanted: str) -> bool:
        """`wanted`: type, status, and the reason if it matters."""
        found = self.condition(kind, name, wanted[0])
        assert [found.get("status"), found.get("reason")][: len(wanted) - 1] == [*wanted[1:]], self.get(kind, name)
        return True

    def happened(self, name: str) -> dict[str, dict[str, Any]]:
        """{reason: Event} of an object."""
        events = self.cluster.control.get(f"/api/v1/namespaces/{NAMESPACE}/events")["items"]
        return {each["reason"]: each for each in events if each["involvedObject"]["name"] == name}

    def printed(self, kind: str, name: str) -> dict[str, str]:
        """`kubectl get` of one object: {column: what it says}."""
        head, row = self.cluster.kubectl("get", "-n", NAMESPACE, kind, name).splitlines()
        starts = [head.index(word) for word in head.split("  ") if word.strip()]
        cells = [row[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]
        return dict(zip(filter(None, map(str.strip, head.split("  "))), cells, strict=True))

    def function(self, name: str, version: str = "1", *triggers: dict[str, Any], **spec: Any) -> dict[str, Any]:
        """One that writes each event it gets into a file of its name, behind its version."""
        env = {"DIARY": str(self.folder), "VERSION": version} | spec.pop("env", {})
        return item("Function", name, {
            "source": str(self.folder / "code"), "command": ["/bin/busybox", "sh", "main.sh"], "isolation": "shared",
            "pool": {"minIdle": 1, "maxWorkers": 2}, "env": env, "triggers": list(triggers), **spec,
        })  # fmt: skip

    def diary(self, name: str) -> list[tuple[str, dict[str, Any]]]:
        """(version, event) of each event the function got."""
        file = self.folder / name
        lines = file.read_text().splitlines() if file.exists() else []
        return [(line.partition(" ")[0], json.loads(line.partition(" ")[2])) for line in lines]


def item(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": f"{GROUP}/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def rule(name: str, **spec: Any) -> dict[str, Any]:
    """One that watches a level; None takes a field out."""
    spec = {"devices": "tank-*", "reading": "level", "below": 20, "severity": "critical", **spec}
    return item("Rule", name, {key: value for key, value in spec.items() if value is not None})
