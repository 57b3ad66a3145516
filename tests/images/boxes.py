"""Workers as a container has them, without a container engine: `edge-entry` is process 1 of a PID namespace of its own, with
hosts file, TMPDIR and /dev/shm of its own, and asks the real Runtime API by a name that holds a token."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from edge_agent.domain.function import FunctionSpec
from edge_agent.engine.functions.dispatch import Engine
from edge_agent.errors import Unavailable
from edge_agent.runtime_api.http import Request
from edge_agent.runtime_api.peers import Address
from edge_agent.runtime_api.server import RuntimeServer

ENTRY = Path(__file__).parents[2] / "images" / "entry" / "edge-entry"
DOMAIN = "worker.edge.internal"
INSIDE = """
mount --bind "$BOX/hosts" /etc/hosts
mount -t tmpfs box /dev/shm
mount -t tmpfs box "$BOX/tmp"
cd "$1"
shift
exec "$@"
"""


@dataclass
class Box:
    """One container that is none: `token` is its name at the Runtime API."""

    function: FunctionSpec
    token: str
    folder: Path
    process: subprocess.Popen[bytes]
    worker_id: str
    killed: bool = False
    mine: bool = True
    """It was started or adopted by the engine there is now."""

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-4096:]

    def init(self) -> int:
        """Its process 1, as this machine numbers it."""
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])


class Boxes:
    """`ports.Runner`. It outlives engines: `serve` is called with each new one, as after a restart of the agent."""

    def __init__(self, folder: Path, *, keep: bool = False) -> None:
        """`keep`: boxes stay when the engine goes, as pods do."""
        self._folder = folder
        self._keep = keep
        self.boxes: list[Box] = []
        self.port = 0
        folder.mkdir(parents=True)

    def serve(self, server: RuntimeServer, engine: Engine) -> Boxes:
        self._engine = engine
        for box in self.boxes:
            box.mine = False
        self.port = server.listen(("127.0.0.1", self.port), self._identify)[1]
        return self

    def box(self, worker_id: str) -> Box | None:
        return next((box for box in self.boxes if box.worker_id == worker_id), None)

    def running(self) -> list[Box]:
        return [box for box in self.boxes if box.process.poll() is None]

    def _identify(self, peer: Address, request: Request) -> str | None:
        token = request.headers.get(b"host", b"").decode().partition(".")[0]
        return next((box.worker_id for box in self.boxes if box.token == token), None)

    # -- ports.Runner

    def start(self, worker_id: str, function: FunctionSpec) -> None:
        """A new one; or one that an earlier agent has left, adopted."""
        for box in self.running():
            if self._keep and box.function.name == function.name and not box.mine:
                box.worker_id, box.mine = worker_id, True
                self._engine.adopted(worker_id)
                return
        token = secrets.token_hex(16)
        folder = self._folder / token
        (folder / "tmp").mkdir(parents=True)
        (folder / "hosts").write_text(f"127.0.0.1 localhost\n127.0.0.1 {token}.{DOMAIN}\n")
        variables = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "BOX": str(folder),
            "TMPDIR": str(folder / "tmp"),
            "AWS_LAMBDA_RUNTIME_API": f"{token}.{DOMAIN}:{self.port}",
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "64",
            **function.env,
        }
        words = ["unshare", "--pid", "--mount", "--ipc", "--fork", "--kill-child", "--mount-proc"]
        words += ["sh", "-ec", INSIDE, "box", function.source, str(ENTRY), *function.command, *function.args]
        try:
            with (folder / "log").open("wb") as log:
                process = subprocess.Popen(
                    words, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
                )
        except OSError as error:
            raise Unavailable(str(error)) from error
        box = Box(function, token, folder, process, worker_id)
        self.boxes.append(box)
        threading.Thread(target=self._watch, args=(box,), daemon=True).start()

    def _watch(self, box: Box) -> None:
        code = box.process.wait()
        self._engine.exited(box.worker_id, "was killed" if box.killed else f"exited with code {code}", box.log)

    def renew(self, worker_id: str) -> None: ...

    def kill(self, worker_id: str) -> None:
        if (box := self.box(worker_id)) is not None:
            box.killed = True
            box.process.send_signal(signal.SIGKILL)

    def log(self, worker_id: str) -> str:
        box = self.box(worker_id)
        return box.log if box is not None else ""

    def close(self) -> None:
        if not self._keep:
            self.end()

    def end(self) -> None:
        for box in self.boxes:
            box.killed = True
            box.process.kill()
        for box in self.boxes:
            box.process.wait(10)
