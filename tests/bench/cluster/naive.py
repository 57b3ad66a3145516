"""The way of 2021: a pod is created for each event, watched until it has ended, its output read, and it is deleted.

With the `kubernetes` client as everybody uses it: its models, its watch. Nothing in it is slower than it has to be: one pod,
no Job; the image is on the node; no grace; as many threads as events.
"""

from __future__ import annotations

import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client, config, watch

LONGEST = 900
"""Seconds until a pod must have ended."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One event, in milliseconds from its beginning: until the pod ran, until its answer was read; and what deleting took."""

    running: float
    answered: float
    deleting: float


class Naive:
    """Runs events as pods of `image` in `namespace`."""

    def __init__(self, kubeconfig: Path, namespace: str, image: str, most: int = 100) -> None:
        settings = client.Configuration()
        config.load_kube_config(str(kubeconfig), client_configuration=settings)
        settings.connection_pool_maxsize = 2 * most
        self._pods = client.CoreV1Api(client.ApiClient(settings))
        self._namespace, self._image, self._most = namespace, image, most
        self._numbers = itertools.count()

    def burst(self, count: int) -> list[Ran]:
        """`count` events at once."""
        begun = time.perf_counter()
        with ThreadPoolExecutor(min(count, self._most)) as threads:
            return list(threads.map(lambda _: self.one(begun), range(count)))

    def one(self, begun: float | None = None) -> Ran:
        """One event; `begun`: when it came (perf_counter), now if not said."""
        begun = time.perf_counter() if begun is None else begun
        name = f"naive-{next(self._numbers)}"
        made = self._pods.create_namespaced_pod(self._namespace, self._pod(name))
        running = self._await(name, made.metadata.resource_version, begun)
        answer = self._pods.read_namespaced_pod_log(name, self._namespace)
        answered = _since(begun)
        if json.loads(answer) != {"ok": True}:
            raise RuntimeError(f"{name} answered {answer!r}")
        return Ran(running, answered, self._delete(name))

    def _await(self, name: str, version: str, begun: float) -> float:
        """Until it has succeeded; when it was first seen to run."""
        running = 0.0
        watching = watch.Watch()
        for event in watching.stream(
            self._pods.list_namespaced_pod, self._namespace, field_selector=f"metadata.name={name}",
            resource_version=version, timeout_seconds=LONGEST,
        ):  # fmt: skip
            phase = event["object"].status.phase
            if phase in ("Running", "Succeeded") and not running:
                running = _since(begun)
            if phase == "Succeeded":
                watching.stop()
                return running
            if phase == "Failed":
                raise RuntimeError(f"{name} failed: {event['object'].status}")
        raise TimeoutError(f"{name} has not ended within {LONGEST} s")

    def _delete(self, name: str) -> float:
        begun = time.perf_counter()
        self._pods.delete_namespaced_pod(name, self._namespace, grace_period_seconds=0)
        while True:
            try:
                self._pods.read_namespaced_pod(name, self._namespace)
            except client.ApiException as error:
                if error.status == 404:
                    return _since(begun)
                raise
            time.sleep(0.01)

    def _pod(self, name: str) -> dict[str, Any]:
        container = {
            "name": "function", "image": self._image, "imagePullPolicy": "IfNotPresent",
            "command": ["/bin/sh", "-c", """echo '{"ok":true}'"""],
            "resources": {"limits": {"memory": "64Mi", "cpu": "250m"}, "requests": {"memory": "16Mi", "cpu": "5m"}},
        }  # fmt: skip
        return {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {
                "containers": [container], "restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False, "enableServiceLinks": False, "dnsPolicy": "Default",
            },
        }  # fmt: skip


def _since(begun: float) -> float:
    return (time.perf_counter() - begun) * 1000
