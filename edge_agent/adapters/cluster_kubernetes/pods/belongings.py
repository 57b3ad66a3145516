"""What a function's pods need beside themselves: its secrets, and the word whom it may reach.

Enters: functions as declared, and the agent's folder of secrets. Leaves: Secrets (mounted as one projected volume, so that a
change arrives in running pods without a restart, within the kubelet's minute) and a NetworkPolicy for each function with
declared egress, both there before its first pod; removed when no function needs them.
Any thread may call; one at a time applies.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import ipaddress
import re
import threading
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import msgspec

from edge_agent.adapters.cluster_kubernetes.api import Connection, Json
from edge_agent.adapters.cluster_kubernetes.pods.document import FUNCTION, MANAGED, OURS, SITE, Site, label
from edge_agent.domain.function import FunctionSpec
from edge_agent.errors import NotFound, Unavailable

VALUE = "value"
"""The key of a secret that is one file."""
KEY = re.compile(r"[-._a-zA-Z0-9]+")
"""What Kubernetes allows as a key of a Secret."""


class Belongings:
    """`folder` has one folder or file for each secret, as for local workers."""

    def __init__(self, cluster: Connection, site: Site, folder: Path | None) -> None:
        self._cluster = cluster
        self._site = site
        self._folder = folder
        self._applied: dict[str, bytes] = {}
        """Digest of what was applied last, by path."""
        self._lock = threading.Lock()

    def sources(self, spec: FunctionSpec) -> list[Json]:
        """Of the volume with its secrets. Errors: `Unavailable` (one is missing)."""
        sources = []
        for name in spec.secrets:
            keys = {VALUE: name} if self._find(name).is_file() else {key: f"{name}/{key}" for key in self._keys(name)}
            items = [{"key": key, "path": path} for key, path in keys.items()]
            sources.append({"secret": {"name": secret_name(name), "items": items}})
        return sources

    def ensure(self, spec: FunctionSpec) -> None:
        """Have there what pods of this function need. Errors: `EdgeError`s of the cluster."""
        for name in spec.secrets:
            self._apply(self._path("secrets", secret_name(name)), self._secret(name))
        if spec.egress:
            self._apply(self._path("networkpolicies", policy_name(spec.name)), policy(spec, self._site))

    def refresh(self, specs: Iterable[FunctionSpec]) -> None:
        """The same for functions that have pods: a secret may be another by now."""
        for spec in specs:
            self.ensure(spec)

    def sweep(self, functions: Mapping[str, FunctionSpec], also: Collection[FunctionSpec]) -> None:
        """Remove what none of these needs: declared ones, and `also` those that have pods. Errors: as `ensure`."""
        specs = [*functions.values(), *also]
        wanted = {
            "secrets": {secret_name(name) for spec in specs for name in spec.secrets},
            "networkpolicies": {policy_name(spec.name) for spec in specs if spec.egress},
        }
        for kind, names in wanted.items():
            there = self._cluster.get(self._path(kind), {"labelSelector": self._site.selector})
            for item in there.get("items") or ():
                if item["metadata"]["name"] not in names:
                    self._remove(self._path(kind, item["metadata"]["name"]))

    def _remove(self, path: str) -> None:
        with self._lock:
            self._applied.pop(path, None)
            with contextlib.suppress(NotFound):
                self._cluster.delete(path)

    def _apply(self, path: str, item: Json) -> None:
        digest = hashlib.blake2b(msgspec.json.encode(item, order="deterministic"), digest_size=16).digest()
        with self._lock:
            if self._applied.get(path) != digest:
                self._cluster.apply(path, item)
                self._applied[path] = digest

    def _path(self, kind: str, name: str = "") -> str:
        group = "/api/v1" if kind == "secrets" else "/apis/networking.k8s.io/v1"
        return f"{group}/namespaces/{self._site.namespace}/{kind}" + (f"/{name}" if name else "")

    def _secret(self, name: str) -> Json:
        found = self._find(name)
        try:
            files = {VALUE: found} if found.is_file() else {key: found / key for key in self._keys(name)}
            data = {key: base64.b64encode(file.read_bytes()).decode() for key, file in files.items()}
        except OSError as error:
            raise Unavailable(f"the secret {name} cannot be read: {error}") from error
        metadata = {"name": secret_name(name), "labels": {MANAGED: OURS, SITE: label(self._site.name)}}
        return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data}

    def _find(self, name: str) -> Path:
        found = self._folder / name if self._folder else None
        if found is None or not found.exists():
            where = f"put it into {self._folder}" if self._folder else "no folder of secrets is configured"
            raise Unavailable(f"the secret {name} is missing: {where}")
        return found

    def _keys(self, name: str) -> list[str]:
        """Files of its folder; what begins with two dots is Kubernetes' own book-keeping."""
        files = sorted(file.name for file in self._find(name).iterdir() if file.is_file())
        return [key for key in files if KEY.fullmatch(key) and not key.startswith("..")]


def secret_name(name: str) -> str:
    return f"edge-{name}"


def policy_name(function: str) -> str:
    return f"edge-egress-{function}"


def policy(spec: FunctionSpec, site: Site) -> Json:
    """Pods of the function may reach what its manifest declares, beside what all may. TCP and UDP where a port is given."""
    metadata = {"name": policy_name(spec.name), "labels": {MANAGED: OURS, SITE: label(site.name)}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {
            "podSelector": {"matchLabels": {FUNCTION: spec.name}},
            "policyTypes": ["Egress"],
            "egress": [_rule(address) for address in spec.egress],
        },
    }


def _rule(address: str) -> Json:
    """`10.0.0.2:25`, `10.0.0.0/24`, `[fd00::1]:25` (`manifests.fields.address` has seen to the form)."""
    host, port = address, ""
    if bracketed := re.fullmatch(r"\[(.+)\](?::(\d+))?", address):
        host, port = bracketed[1], bracketed[2] or ""
    elif address.count(":") == 1:
        host, port = address.split(":")
    rule: Json = {"to": [{"ipBlock": {"cidr": str(ipaddress.ip_network(host, strict=False))}}]}
    if port:
        rule["ports"] = [{"port": int(port), "protocol": protocol} for protocol in ("TCP", "UDP")]
    return rule
