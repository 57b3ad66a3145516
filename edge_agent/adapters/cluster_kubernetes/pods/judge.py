"""What a pod's status says about its worker. Pure: the object in, a sentence with Kubernetes' own words out.

Sources: "Pod Lifecycle" (phases, container states, conditions), and the reasons kubelet, scheduler and controllers write.
"""

from __future__ import annotations

import contextlib
import signal
from typing import Any, NamedTuple

from edge_agent.domain.function import FunctionSpec, MiB

Json = dict[str, Any]

IMAGE = frozenset({
    "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError",
    "RegistryUnavailable", "SignatureValidationFailed",
})  # fmt: skip
CONFIG = frozenset({
    "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun",
})  # fmt: skip


class End(NamedTuple):
    """`reason` completes "its worker ..."; `kind` as in `ports.WorkerEvents.exited`."""

    reason: str
    kind: str = "worker-lost"


class View(NamedTuple):
    """A pod at a glance."""

    addresses: tuple[str, ...]
    node: str
    running: bool
    """Its container runs now."""
    restarts: int
    end: End | None
    """It is over, or will never begin."""
    unschedulable: str
    """Why no node takes it; empty: one has, or it was not tried yet."""


def view(item: Json, spec: FunctionSpec | None = None, *, restarts: int = 0) -> View:
    """`spec` for what its limits are; `restarts` of its container that happened before it was ours."""
    status = item.get("status") or {}
    container: Json = next(iter(status.get("containerStatuses") or ()), {})
    addresses = tuple(one["ip"] for one in status.get("podIPs") or () if one.get("ip"))
    count = int(container.get("restartCount") or 0)
    return View(
        addresses,
        str(item["spec"].get("nodeName") or ""),
        "running" in (container.get("state") or {}),
        count,
        _end(item, status, container, spec, fresh=count > restarts),
        _unschedulable(status),
    )


def deleted(item: Json) -> End:
    """It was removed, and not by us."""
    for condition in (item.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            return End(f"was deleted: {_quote(condition.get('reason'), condition.get('message'))}")
    return End("was deleted from outside (kubectl delete, a drained node)")


def refused(message: str) -> End:
    """Its pod was not created; `message` is the error's."""
    kind = "quota-exceeded" if "exceeded quota" in message else "cluster-refused"
    return End(f"could not be created: {message}", kind)


def _end(item: Json, status: Json, container: Json, spec: FunctionSpec | None, *, fresh: bool) -> End | None:
    state = container.get("state") or {}
    if over := state.get("terminated") or (fresh and (container.get("lastState") or {}).get("terminated")):
        return _terminated(over, spec)
    waiting = state.get("waiting") or {}
    if waiting.get("reason") in IMAGE:  # one node may have the image, or reach the registry, where another does not
        node = item["spec"].get("nodeName") or "a node"
        return End(
            f"could not start on {node}: {_quote(waiting['reason'], waiting.get('message'))}", "image-pull-failed"
        )
    if waiting.get("reason") in CONFIG:
        return End(f"could not start: {_quote(waiting['reason'], waiting.get('message'))}", "config-error")
    if status.get("phase") == "Failed":
        what = "was evicted" if status.get("reason") == "Evicted" else "failed"
        return End(f"{what}: {_quote(status.get('reason'), status.get('message'))}")
    if item["metadata"].get("deletionTimestamp"):
        return deleted(item)
    return None


def _terminated(over: Json, spec: FunctionSpec | None) -> End:
    code, reason = int(over.get("exitCode") or 0), over.get("reason")
    if reason == "OOMKilled":
        allowed = f"the {spec.memory / MiB:g} MiB its manifest allows" if spec else "its manifest allows"
        return End(f"used more than {allowed} (memory)", "out-of-memory")
    if reason in CONFIG:
        return End(f"could not start: {_quote(reason, over.get('message'))}", "config-error")
    if code <= 128:
        return End(f"exited with code {code}")
    with contextlib.suppress(ValueError):
        return End(f"was killed by {signal.Signals(code - 128).name}")
    return End(f"exited with code {code}")


def _unschedulable(status: Json) -> str:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return _quote(condition.get("reason"), condition.get("message"))
    return ""


def _quote(reason: str | None, message: str | None) -> str:
    return f"Kubernetes says: {': '.join(word for word in (reason, message) if word) or 'nothing'}"
