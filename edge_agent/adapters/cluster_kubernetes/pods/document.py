"""A function's pod, as Kubernetes is told of it. Pure.

Restricted ("Pod Security Standards": restricted) and cheap: nothing mounted that is not needed, no grace, no service account.
The scheduler places it: setting `nodeName` ourselves would save 80 of 390 ms of a cold start, and lose taints, cordons and
what a node has room for. A pool filled ahead hides the 80 ms; nothing hides a pod on a node that cannot have it.
Memory is requested at a quarter of its limit, the processor at a fiftieth: waiting workers use next to nothing, and with
the whole limit requested a Pi would be full with a dozen.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import msgspec

from edge_agent.domain.function import FunctionSpec, MiB

Json = dict[str, Any]

MANAGED, FUNCTION, WORKER, SITE = (
    "app.kubernetes.io/managed-by", "edge.internal/function", "edge.internal/worker", "edge.internal/site",
)  # fmt: skip
FINGERPRINT = "edge.internal/fingerprint"
"""Annotation: pods with the same were made alike, and may stand in for each other."""
OURS = "edge-agent"
DOMAIN = "worker.edge.internal"
SECRETS = "/run/edge/secrets"
PRIORITY = "edge-function"
CONTAINER = "function"
TMP_LIMIT = 128 * MiB
"""Bytes in /tmp, on the node's disk; who writes more is evicted."""
LEAST_REQUEST = 8 * MiB
NODE_PATIENCE = 5
"""Seconds a pod stays bound to a node that is not ready; Kubernetes's default is 300."""


@dataclass(frozen=True, slots=True)
class Site:
    """What all pods of this agent have in common."""

    namespace: str
    name: str
    """Of the agent's site: tells its pods from those of another agent in the same cluster."""
    address: str
    port: int
    """Of the Runtime API, as pods reach it."""
    surroundings: dict[str, str] = field(default_factory=dict)

    @property
    def selector(self) -> str:
        return f"{MANAGED}={OURS},{SITE}={label(self.name)}"

    @property
    def pods(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods"


def label(name: str) -> str:
    """A site's name as a label's value has to be: it neither begins nor ends with a dash."""
    return name.strip("-") or "site"


def pod(name: str, token: str, spec: FunctionSpec, secrets: list[Json], site: Site) -> Json:
    """The whole object. `secrets`: sources of a projected volume (`belongings`)."""
    document = _pod(name, token, spec, secrets, site)
    document["metadata"]["annotations"] = {FINGERPRINT: fingerprint(spec, secrets, site)}
    return document


def fingerprint(spec: FunctionSpec, secrets: list[Json], site: Site) -> str:
    whole = msgspec.json.encode(_pod("", "", spec, secrets, site), order="deterministic")
    return hashlib.blake2b(whole, digest_size=12).hexdigest()


def plain(text: str) -> str:
    """Text in which Kubernetes finds no `$(VARIABLE)` to fill in, and no `$$` to shorten ("Define Dependent Environment
    Variables"): a shell's `$(date)` means something else, and a local worker gets what was written."""
    return text.replace("$", "$$")


def token_of(item: Json) -> str:
    """The token a pod was given; empty when it has none."""
    for alias in item["spec"].get("hostAliases") or ():
        for name in alias.get("hostnames") or ():
            head, _, domain = name.partition(".")
            if domain == DOMAIN:
                return str(head)
    return ""


def _pod(name: str, token: str, spec: FunctionSpec, secrets: list[Json], site: Site) -> Json:
    words = [*spec.command, *spec.args]
    container: Json = {
        "name": CONTAINER,
        "image": spec.image,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": key, "value": plain(value)} for key, value in variables(name, token, spec, site).items()],
        "resources": {
            "limits": {"memory": str(spec.memory), "cpu": f"{max(1, round(spec.cpu * 1000))}m"},
            "requests": {
                "memory": str(min(spec.memory, max(LEAST_REQUEST, spec.memory // 4))),
                "cpu": f"{max(1, round(spec.cpu * 20))}m",
            },
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - in the pod
    }
    if words:
        container["args"] = [plain(word) for word in words]  # never `command`: the image's entry point is to run them
    volumes: list[Json] = [{"name": "tmp", "emptyDir": {"sizeLimit": str(TMP_LIMIT)}}]
    if secrets:
        volumes.append({"name": "secrets", "projected": {"defaultMode": 0o444, "sources": secrets}})
        container["volumeMounts"].append({"name": "secrets", "mountPath": SECRETS, "readOnly": True})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": site.namespace,
            "labels": {
                MANAGED: OURS, FUNCTION: spec.name, WORKER: name.rpartition("-")[2] or "none", SITE: label(site.name),
            },
        },
        "spec": {
            "containers": [container],
            "volumes": volumes,
            "hostAliases": [{"ip": site.address, "hostnames": [f"{token}.{DOMAIN}"]}],
            "restartPolicy": "Always" if spec.isolation == "shared" else "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "dnsPolicy": "Default",
            "priorityClassName": PRIORITY,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "tolerations": [
                {"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute",
                 "tolerationSeconds": NODE_PATIENCE}
                for what in ("not-ready", "unreachable")
            ],
            "topologySpreadConstraints": [{
                "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {FUNCTION: spec.name}},
            }],
        },
    }  # fmt: skip


def variables(name: str, token: str, spec: FunctionSpec, site: Site) -> dict[str, str]:
    """The names are AWS's, as for local workers; what is not here, the image says."""
    words = [*spec.command, *spec.args]
    return {
        **site.surroundings,
        **spec.env,
        "AWS_LAMBDA_RUNTIME_API": f"{token}.{DOMAIN}:{site.port}",
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory // MiB),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/edge/{spec.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": name,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": "edge",
        **({"_HANDLER": words[-1]} if words else {}),
        "EDGE_SECRETS": SECRETS,
        "HOME": "/tmp",  # noqa: S108 - in the pod
        "TMPDIR": "/tmp",  # noqa: S108
    }
