"""The clients that are tried, each unmodified and pinned by its lock file; what can be said of one only is said here.

`EDGE_CONTRACT_CLIENTS=rust,java` chooses; without it those that need nothing slow.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edge_agent.domain.function import FunctionSpec, MiB
from tests.functions.contract import builds
from tests.functions.shelf import Shelf

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Client:
    """`stack`: where its error document has the stack trace ("": nowhere). `raw`: what to change in the manifest so that it
    answers with the bytes that it `sends`. `breaks`: the same for an answer that breaks off, None: it cannot."""

    language: str
    library: str
    declared: Callable[[], dict[str, Any]]
    error_type: str = "PumpDry"
    stack: str = ""
    frame: str = ""
    memory: int = 256
    raw: dict[str, Any] = field(default_factory=dict)
    sends: bytes = bytes(range(256))
    breaks: dict[str, Any] | None = None
    breaks_as_text: bool = False
    """It writes the trailers into the answer, where nobody can tell them from it."""
    reports_init: bool = True
    """It tells a failed initialisation through the Runtime API; otherwise it just ends."""

    def declare(self, shelf: Shelf, name: str = "tried", **changes: Any) -> FunctionSpec:
        """Its function, named `name`, on this shelf."""
        return shelf.declare(name, **{**self.declared(), "memory": self.memory * MiB, **changes})


def _python() -> dict[str, Any]:
    return {"source": str(HERE / "python"), "command": ("python3", "-m", "awslambdaric"), "args": ("function.handler",)}


@cache
def _node() -> dict[str, Any]:
    client = builds.node() / "node_modules" / "aws-lambda-ric" / "bin" / "index.mjs"
    return {"source": str(HERE / "node"), "command": (_path("node"), str(client)), "args": ("function.handler",)}


@cache
def _go() -> dict[str, Any]:
    return {"source": str(builds.go()), "command": ("./function",)}


@cache
def _rust() -> dict[str, Any]:
    return {"source": str(builds.rust()), "command": ("./function",)}


@cache
def _java() -> dict[str, Any]:
    folder = builds.java()
    light = (
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Xmx256m",
        "-Dfile.encoding=UTF-8",
        "-Dstdout.encoding=UTF-8",
    )
    main = "com.amazonaws.services.lambda.runtime.api.client.AWSLambda"
    return {"source": str(folder), "command": (_path("java"), *light, "-cp", f"{folder}:{folder}/lib/*", main),
            "args": ("Function::handleRequest",)}  # fmt: skip


def _shell() -> dict[str, Any]:
    return {"source": str(HERE / "shell"), "command": ("busybox", "sh", "./function")}


def _path(program: str) -> str:
    return shutil.which(program) or program


@cache
def _busybox() -> str:
    said = subprocess.run(["busybox"], capture_output=True, text=True, check=False).stdout
    return " ".join(said.split()[:2])


CLIENTS = {client.language: client for client in (
    Client("python", f"awslambdaric {version('awslambdaric')}", _python, stack="stackTrace", frame="drain_the_tank"),
    Client("node", "aws-lambda-ric 3.3.0", _node, stack="trace", frame="drainTheTank",
           raw={"args": ("function.stream",)}, breaks={"args": ("function.stream",)}),
    Client("go", "aws-lambda-go 1.54.0", _go, stack="stackTrace", frame="drainTheTank", breaks={}, reports_init=False),
    Client("rust", "lambda_runtime 1.5.0", _rust, breaks={}, breaks_as_text=True, reports_init=False),
    Client("java", "aws-lambda-java-runtime-interface-client 2.9.0", _java, error_type="Function$PumpDry",
           stack="stackTrace", frame="drainTheTank", memory=512, raw={"args": ("Raw::handleRequest",)}),
    Client("shell", "busybox wget", _shell, stack="stackTrace", frame="drain_the_tank",
           sends=bytes(range(1, 256))),  # it takes what it posts for a text that ends with a zero byte
)}  # fmt: skip

QUICK = "python,node,go,shell"
CHOSEN = [CLIENTS[language] for language in os.environ.get("EDGE_CONTRACT_CLIENTS", QUICK).split(",")]
