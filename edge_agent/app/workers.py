"""What runs functions here: processes of this machine, or pods of a cluster; the one place that knows which."""

from __future__ import annotations

import hashlib
import ipaddress
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from edge_agent.adapters.run_process import ProcessRunner
from edge_agent.app.parts import Parts
from edge_agent.domain.function import FunctionSpec
from edge_agent.ports import ClusterState, Runner
from edge_agent.runtime_api.server import RuntimeServer
from edge_agent.settings import Settings

Declared = Callable[[], Mapping[str, FunctionSpec]]


class Workers(Runner, Protocol):
    """A runner, and what people are told of it."""

    limits: str
    """What holds workers to their limits, for people."""
    left_out: Counter[str]
    """Bytes of output that were not passed on, by function."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Pods by what became of them; empty where there are none."""

    def standing(self) -> ClusterState | None:
        """For the check of that name; None: there is no cluster. Any thread; some seconds at most."""


class Processes(ProcessRunner):
    """Workers of this machine."""

    @property
    def counts(self) -> Mapping[str, int]:
        return {}

    def standing(self) -> ClusterState | None:
        return None


def make(parts: Parts, server: RuntimeServer, declared: Declared) -> Workers:
    """The runner that the configuration names. Errors: `Refused` (a cluster's configuration that cannot be read)."""
    settings, engine = parts.settings, parts.engine
    if settings.functions.runner == "kubernetes":
        return _pods(parts, server, declared)
    folder = worker_folder(settings.data.dir)
    return Processes(
        parts.loop, server, engine, folder, secrets=settings.secrets_dir, surroundings=surroundings(settings)
    )


def _pods(parts: Parts, server: RuntimeServer, declared: Declared) -> Workers:
    from edge_agent.adapters.cluster_kubernetes.api import Connection  # 8 MB: only who uses it pays
    from edge_agent.adapters.cluster_kubernetes.pods import Belongings, Gate, KubernetesRunner, Marks, Site

    settings, chosen = parts.settings, parts.settings.kubernetes
    cluster = Connection(chosen.kubeconfig)
    site = Site(
        chosen.namespace, settings.site, chosen.runtime_address, chosen.runtime_port, pod_surroundings(settings)
    )
    gate = Gate(server, (chosen.runtime_address, chosen.runtime_port))
    belongings = Belongings(cluster, site, settings.secrets_dir)
    marks = Marks(worker_folder(settings.data.dir).with_name(worker_folder(settings.data.dir).name + "-pods"))
    parts.engine.start_timeout = KubernetesRunner.start_timeout
    return KubernetesRunner(
        parts.loop, gate, parts.engine, cluster, site, belongings=belongings, marks=marks, declared=declared
    )


def surroundings(settings: Settings) -> dict[str, str]:
    """What every function finds in its environment unless its manifest says otherwise: how to reach the broker."""
    mqtt = settings.mqtt
    known = {"MQTT_HOST": mqtt.host, "MQTT_PORT": str(mqtt.port), "MQTT_SITE": settings.site}
    known |= {"MQTT_USER": settings.functions.mqtt_user} if settings.functions.mqtt_user else {}
    return known | ({"MQTT_CA_FILE": str(mqtt.tls_ca)} if mqtt.tls_ca else {})


def pod_surroundings(settings: Settings) -> dict[str, str]:
    """The same for pods: a broker on this machine is at its address in the pod network, and no file of ours is there (give
    the CA as a secret)."""
    known = surroundings(settings)
    known.pop("MQTT_CA_FILE", None)
    if known["MQTT_HOST"] == "localhost" or _is_loopback(known["MQTT_HOST"]):
        known["MQTT_HOST"] = settings.kubernetes.runtime_address
    return known


def worker_folder(data: Path) -> Path:
    """Where workers keep what they need while they live: in memory where there is any, for every fresh one makes and
    removes a folder, and that would be writes on the card."""
    name = f"edge-workers-{os.getuid()}-{hashlib.blake2b(str(data).encode(), digest_size=6).hexdigest()}"
    for variable in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        place = os.environ.get(variable, "")
        if place and Path(place).is_dir():
            return Path(place) / name
    shared = Path("/dev/shm") / name  # noqa: S108 - the runner makes the folder anew, 0700
    taken = shared.exists() and shared.lstat().st_uid != os.getuid()
    return shared if os.access(shared.parent, os.W_OK) and not taken else data / "workers"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
