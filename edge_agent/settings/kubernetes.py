"""The cluster that functions run on, where they run on one: what each setting does and why the default is what it is."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from edge_agent.settings.fields import Port, Section


def address(value: str) -> str:
    """An IPv4 address of this machine, or nothing."""
    if value:
        try:
            found = ipaddress.IPv4Address(value)
        except ValueError:
            raise ValueError(f"{value!r} is no IPv4 address; write for example 10.42.0.1") from None
        if found.is_loopback or found.is_unspecified:
            raise ValueError(
                f"{value} cannot be reached from a pod, or by too many; write this machine's in the pod network"
            )
    return value


class Kubernetes(Section):
    """The cluster that functions run on (`functions.runner = "kubernetes"`)."""

    kubeconfig: Path | None = None
    """File that says where the cluster is and how the agent signs in. Default: $KUBECONFIG or ~/.kube/config; inside a
    pod, its service account. Give the agent one of its own, with the rights of k3s/base and no more."""
    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")] = "edge-functions"
    """Namespace of function pods, their secrets and network policies. k3s/base makes it, with its quota and policies."""
    runtime_address: Annotated[str, AfterValidator(address)] = ""
    """IPv4 address of this machine inside the pod network, where pods ask for events; on k3s that of cni0, 10.42.0.1 on
    the first node. Not one on the LAN: pods' own addresses arrive only here, and they tell who asks. It may come into
    being later than the agent. Needed with `functions.runner = "kubernetes"`."""
    runtime_port: Port = 8090
    """TCP port there. Network policies name it: change it in k3s/base too."""
    manifests: bool = False
    """Whether functions and rules are also taken from the cluster (`kubectl get efn,erule`), and told there how they are.
    Where a file declares the same name, the file holds. The versions that held last are kept in the data folder, for a
    start without the cluster. Default: only from files."""
