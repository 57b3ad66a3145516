"""Which functions this machine runs, by who declares them: files may run commands here, API and cluster may not.

Enters: the configuration and a function. Leaves: nothing, or why not and what to do. Pure.
INTERFACE: "on an appliance a function is an image, never a command on the host".
"""

from __future__ import annotations

from typing import Any

from edge_agent.domain.function import FunctionSpec
from edge_agent.errors import Refused
from edge_agent.settings import Settings


def by_cluster(settings: Settings, spec: FunctionSpec) -> list[tuple[tuple[str, ...], str, str]]:
    """What is wrong with it, as (path in the spec, message, hint)."""
    if settings.functions.runner == "kubernetes":
        hint = "edgectl functions deploy builds one"
        return [] if spec.image else [(("image",), "is missing, and functions run as pods here", hint)]
    if spec.source and not settings.functions.by_api:
        hint = f"declare it in a file in {settings.manifests_dir}"
        return [(("source",), "runs a command on the gateway, and that is not taken from a cluster", hint)]
    hint = 'set functions.runner = "kubernetes", or declare it in a file with a source'
    return [] if spec.source else [(("source",), "is missing, and functions run as processes here", hint)]


def by_api(settings: Settings, manifest: dict[str, Any]) -> None:
    """Errors: `Refused`. A manifest that is none is judged elsewhere."""
    needs_image(settings, manifest)
    if _spec(manifest).get("source") and not settings.functions.by_api:
        pods = settings.functions.runner == "kubernetes"
        raise Refused(
            "a function with a source runs a command on this host, and that is not taken over the API; "
            + ("remove source, its image is enough" if pods else f"declare it in {settings.manifests_dir} and reload")
        )


def needs_image(settings: Settings, manifest: dict[str, Any]) -> None:
    """Errors: `Refused`, where functions are pods and it has none."""
    if (
        manifest.get("kind") == "Function"
        and settings.functions.runner == "kubernetes"
        and not _spec(manifest).get("image")
    ):
        raise Refused(
            "functions run as pods here, and this one has no image; write image: REGISTRY/NAME:VERSION in place of source, or "
            "have its folder, with a Containerfile in it, built: edgectl functions deploy FOLDER --config FILE ([registry])"
        )


def _spec(manifest: dict[str, Any]) -> dict[str, Any]:
    spec = manifest.get("spec") if manifest.get("kind") == "Function" else None
    return spec if isinstance(spec, dict) else {}
