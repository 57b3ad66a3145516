"""The control plane: kine (the datastore), API server, controllers, scheduler. On the machine's own network, one machine."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.machine import Machine
from tests.cluster.pki import Authority, Identity, credentials, kubeconfig
from tests.cluster.program import Program
from tests.cluster.ranges import Ranges

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "None", "nonResourceURLs": ["/healthz*", "/readyz*", "/livez*"]}, {"level": "Metadata"}],
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One request the API server answered (audit.k8s.io/v1, level Metadata)."""

    user: str
    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    path: str


class ControlPlane:
    """`programs` by name: kine, kube-apiserver, kube-controller-manager, kube-scheduler."""

    def __init__(self, machine: Machine, ranges: Ranges, binaries: Path, authority: Authority) -> None:
        self.machine, self._ranges, self._binaries = machine, ranges, binaries
        self.folder = machine.state / "control"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.server = f"https://{ranges.gateway}:6443"
        self._authority = authority.certificate
        self.admin = authority.identity("admin", "admin", "system:masters")
        self._tls = self._client(self.admin)
        self.programs = {program.name: program for program in self._programs(authority)}
        self.programs["kine"].ready = self._await_kine
        self.programs["kube-apiserver"].ready = self.await_ready

    def start(self) -> None:
        """Returns when the API server is ready."""
        self.machine.boot()
        for name in ("kine", "kube-apiserver"):
            self.programs[name].start()
        for name in ("kube-controller-manager", "kube-scheduler"):
            self.programs[name].start()

    def kubeconfig(self, file: Path, identity: Identity) -> Path:
        return kubeconfig(file, self.server, self._authority.read_bytes(), credentials(identity))

    def get(self, path: str) -> Any:
        """GET as administrator; the decoded JSON. OSError: no API server; RuntimeError: an answer of 400 or more."""
        status, body = self._ask(path)
        if status >= 400:
            raise RuntimeError(f"GET {path}: {status} {body[:300]!r}")
        return json.loads(body)

    def await_ready(self, patience: float = 120.0) -> None:
        """Until the API server says that it is ready. Raises RuntimeError with the end of its log."""
        program, end = self.programs["kube-apiserver"], time.monotonic() + patience
        while True:
            try:
                if self._ask("/readyz")[0] == 200:
                    return
            except OSError:
                pass
            if not program.running or time.monotonic() > end:
                raise RuntimeError(f"the API server does not get ready:\n{program.tail()}")
            time.sleep(0.2)

    def audit(self) -> Iterator[Entry]:
        """What was asked so far, oldest first."""
        log = self.folder / "audit.log"
        for line in log.read_text().splitlines() if log.exists() else []:
            event = json.loads(line)
            what: Mapping[str, Any] = event.get("objectRef", {})
            yield Entry(
                event["user"]["username"],
                event["verb"],
                what.get("resource", ""),
                what.get("subresource", ""),
                what.get("namespace", ""),
                what.get("name", ""),
                event.get("responseStatus", {}).get("code", 0),
                event["requestURI"],
            )

    def _ask(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection(str(self._ranges.gateway), 6443, timeout=10, context=self._tls)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _client(self, identity: Identity) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self._authority))
        context.load_cert_chain(identity.certificate, identity.key)
        return context

    def _await_kine(self) -> None:
        end = time.monotonic() + 30
        while not (self.folder / "kine.sock").exists():
            if not self.programs["kine"].running or time.monotonic() > end:
                raise RuntimeError(f"kine does not start:\n{self.programs['kine'].tail()}")
            time.sleep(0.05)

    def _programs(self, authority: Authority) -> Iterator[Program]:
        folder, kube = self.folder, self._binaries / "kube"
        service = str(self._ranges.services[1])
        names = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "127.0.0.1")
        serving = authority.identity("apiserver", "kube-apiserver", "", (*names, service, str(self._ranges.gateway)))
        tokens = authority.signing_key("tokens")
        (folder / "audit-policy.json").write_text(json.dumps(POLICY))
        admin = self.kubeconfig(folder / "admin.kubeconfig", self.admin)

        def program(name: str, argv: list[str | Path]) -> Program:
            return Program(name, self.machine, argv, folder / f"{name}.log")

        socket, database = folder / "kine.sock", folder / "kine.db"
        yield program("kine", [self._binaries / "kine", f"--socket={socket}", f"--database={database}"])
        api: list[str | Path] = [kube, "kube-apiserver", f"--etcd-servers=unix://{socket}", "--secure-port=6443"]
        api += [f"--bind-address={self._ranges.gateway}", f"--advertise-address={self._ranges.gateway}"]
        api += [f"--service-cluster-ip-range={self._ranges.services}", "--authorization-mode=Node,RBAC"]
        api += [f"--tls-cert-file={serving.certificate}", f"--tls-private-key-file={serving.key}"]
        api += [f"--client-ca-file={authority.certificate}", "--service-account-issuer=https://kubernetes.default.svc"]
        api += [f"--service-account-key-file={tokens.certificate}", f"--service-account-signing-key-file={tokens.key}"]
        api += [f"--kubelet-client-certificate={self.admin.certificate}", f"--kubelet-client-key={self.admin.key}"]
        api += ["--kubelet-preferred-address-types=InternalIP", "--allow-privileged=true", "--profiling=false"]
        api += ["--enable-admission-plugins=NodeRestriction", "--endpoint-reconciler-type=none"]
        api += [f"--audit-policy-file={folder}/audit-policy.json", f"--audit-log-path={folder}/audit.log"]
        yield program("kube-apiserver", api)
        client: list[str | Path] = [f"--kubeconfig={admin}", "--leader-elect=false", "--secure-port=0"]
        client += ["--kube-api-qps=100", "--kube-api-burst=200"]
        controllers = [kube, "kube-controller-manager", *client, "--use-service-account-credentials"]
        controllers += [f"--service-account-private-key-file={tokens.key}", f"--root-ca-file={authority.certificate}"]
        controllers += ["--terminated-pod-gc-threshold=100"]  # as the appliance sets it
        yield program("kube-controller-manager", controllers)
        yield program("kube-scheduler", [kube, "kube-scheduler", *client])
