"""One worker, as the runner knows it: a pod on its way, there, or on its way out; and all of them."""

from __future__ import annotations

from edge_agent.adapters.cluster_kubernetes.pods.judge import End
from edge_agent.adapters.cluster_kubernetes.pods.words import Words
from edge_agent.domain.function import FunctionSpec

HELD, CREATING, THERE, ENDING = "held", "creating", "there", "ending"
"""What pods there are is not known yet; it is being created; it exists; it is being deleted, or gone."""


class PodWorker:
    __slots__ = (
        "end", "heard", "id", "killed", "listen_at", "node", "pod", "reading", "restarts", "spec", "state", "stuck",
        "token", "words",
    )  # fmt: skip

    def __init__(self, worker_id: str, spec: FunctionSpec) -> None:
        self.id = worker_id
        self.spec = spec
        self.pod = worker_id
        """The pod's name: that of an earlier worker, where it was taken over."""
        self.state = HELD
        self.token = self.node = ""
        self.killed = False
        self.end: End | None = None
        """Why it is gone, or what keeps it from starting."""
        self.restarts = 0
        """Of its container, before it was ours."""
        self.heard = self.reading = False
        """It has sent a request since its log was read; that is being read."""
        self.listen_at = 0.0
        """When its log is to be looked at, monotonic seconds."""
        self.stuck = 0.0
        """Since when no node takes it, monotonic seconds; 0.0: it was not tried, or one does."""
        self.words = Words()


class Roll:
    """All workers there are."""

    def __init__(self) -> None:
        self.workers: dict[str, PodWorker] = {}
        self.pods: dict[str, PodWorker] = {}
        """The same by their pods' names, once they have any."""

    def every(self, *states: str) -> list[PodWorker]:
        return [worker for worker in self.workers.values() if not states or worker.state in states]

    def strike(self, worker: PodWorker) -> bool:
        """It is gone; False when it was before."""
        if self.pods.get(worker.pod) is worker:
            del self.pods[worker.pod]
        return self.workers.pop(worker.id, None) is not None
