"""What a worker finds around it: AWS Lambda's variables, a folder of its own, its secrets as files. Nothing of the agent's.

The names are AWS's ("Defined runtime environment variables"); ours start with EDGE_.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from edge_agent.adapters.run_process.process import Order
from edge_agent.adapters.run_process.strays import MARK
from edge_agent.domain.function import FunctionSpec, MiB
from edge_agent.errors import Unavailable

PATH = os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin:/usr/bin:/bin"])
"""This Python's own folder first, so that `python3 -m awslambdaric` finds what was installed beside the agent."""


def variables(
    spec: FunctionSpec, address: str, folder: str, mark: str, surroundings: Mapping[str, str]
) -> dict[str, str]:
    """The whole environment; `spec.env` may override `surroundings`, but not what the Runtime API depends on."""
    words = (*spec.command, *spec.args)
    return {
        "PATH": PATH,
        "LANG": "C.UTF-8",
        "TZ": os.environ.get("TZ", ":/etc/localtime"),
        "PYTHONDONTWRITEBYTECODE": "1",
        **surroundings,
        **spec.env,
        "AWS_LAMBDA_RUNTIME_API": address,
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory // MiB),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/edge/{spec.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": folder.rpartition("/")[2],
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": "edge",
        "LAMBDA_TASK_ROOT": spec.source,
        "_HANDLER": words[-1] if words else "",
        "EDGE_SECRETS": f"{folder}/secrets",
        "HOME": folder,
        "TMPDIR": folder,
        MARK: mark,
    }


def order(spec: FunctionSpec, variables: dict[str, str], secrets: Path | None) -> Order:
    """What the keeper is to start; says what is missing before anything is. Errors: `Unavailable`."""
    words = [*spec.command, *spec.args]
    if not words:
        raise Unavailable(f"function {spec.name} has no command: a local worker needs one")
    if not Path(spec.source).is_dir():
        raise Unavailable(f"function {spec.name}: its source folder {spec.source or '(none)'} does not exist")
    links = []
    for name in spec.secrets:
        found = secrets / name if secrets else None
        if found is None or not found.exists():
            where = f"put it into {secrets}" if secrets else "no folder of secrets is configured"
            raise Unavailable(f"the secret {name} is missing: {where}")
        links.append((name, str(found)))  # not resolved: what it leads to may change (Kubernetes swaps ..data)
    program = shutil.which(words[0], path=variables["PATH"]) if "/" not in words[0] else words[0]
    if program is None or not os.access(Path(spec.source) / program, os.X_OK):
        raise Unavailable(
            f"function {spec.name} cannot be started: there is no program {words[0]}, or it may not be executed"
        )
    return Order(
        function=spec.name, program=program, words=words, variables=variables, source=spec.source, secrets=links,
        memory=spec.memory, cpu=spec.cpu, keep=spec.isolation == "process",
    )  # fmt: skip
