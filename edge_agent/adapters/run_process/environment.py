"""What a worker finds around it: AWS Lambda's variables, a folder of its own, its secrets as files. Nothing of the agent's.

The names are AWS's ("Defined runtime environment variables"); ours start with EDGE_.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from edge_agent.domain.function import FunctionSpec, MiB
from edge_agent.errors import Unavailable

MARK = "EDGE_WORKER"
"""Inherited by everything a worker starts: how what it left behind is found."""
PATH = os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin:/usr/bin:/bin"])
"""This Python's own folder first, so that `python3 -m awslambdaric` finds what was installed beside the agent."""


def variables(spec: FunctionSpec, address: str, folder: Path, mark: str) -> dict[str, str]:
    """The whole environment; `spec.env` may not override what the Runtime API depends on."""
    words = (*spec.command, *spec.args)
    return {
        "PATH": PATH,
        "LANG": "C.UTF-8",
        "TZ": os.environ.get("TZ", ":/etc/localtime"),
        "PYTHONDONTWRITEBYTECODE": "1",
        **spec.env,
        "AWS_LAMBDA_RUNTIME_API": address,
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory // MiB),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/edge/{spec.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": folder.name,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": "edge",
        "LAMBDA_TASK_ROOT": spec.source,
        "_HANDLER": words[-1] if words else "",
        "EDGE_SECRETS": str(folder / "secrets"),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        MARK: mark,
    }


def furnish(spec: FunctionSpec, folder: Path, secrets: Path | None) -> None:
    """Make the worker's folder, and in it `secrets` with a link to each that it may read.

    Links, so that a secret that changes is read anew without a restart. Errors: `Unavailable`, naming what is missing.
    """
    folder.mkdir(mode=0o700)
    if not spec.secrets:
        return
    (folder / "secrets").mkdir(mode=0o700)
    for name in spec.secrets:
        found = secrets / name if secrets else None
        if found is None or not found.exists():
            where = f"put it into {secrets}" if secrets else "no folder of secrets is configured"
            raise Unavailable(f"the secret {name} is missing: {where}")
        (folder / "secrets" / name).symlink_to(found.resolve())


def check(spec: FunctionSpec) -> None:
    """Say what is missing before anything is started. Errors: `Unavailable`."""
    if not spec.command and not spec.args:
        raise Unavailable(f"function {spec.name} has no command: a local worker needs one")
    if not Path(spec.source).is_dir():
        raise Unavailable(f"function {spec.name}: its source folder {spec.source or '(none)'} does not exist")
