"""Workers as pods.

runner      what the engine asks of it and the cluster tells it; `worker` is one of its workers, `errands` its calls
document    a function's pod, as Kubernetes is told of it; `belongings` its secrets and network policy
judge       what a pod's status says; `nodes` whether its node is there; `words` what it printed
gate        where pods ask; `names` who they are
orphans     pods of an earlier life; `marks` which of them had an event; `removal` pods that are to go
"""

from __future__ import annotations

from edge_agent.adapters.cluster_kubernetes.pods.belongings import Belongings
from edge_agent.adapters.cluster_kubernetes.pods.document import Site
from edge_agent.adapters.cluster_kubernetes.pods.gate import Gate
from edge_agent.adapters.cluster_kubernetes.pods.marks import Marks
from edge_agent.adapters.cluster_kubernetes.pods.runner import KubernetesRunner

__all__ = ["Belongings", "Gate", "KubernetesRunner", "Marks", "Site"]
