"""Node-RED as the benchmark runs it: from npm at the locked version, without an editor, one flow with a filter.

The flow reads each message as JSON and passes on what is above a limit: one comparison, nothing stored. The publisher's last
message is above it, and since messages of one client are handled in order, its coming out says that all are through.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from queue import Queue

from tests.bench.stage import ROOT, Stage, cpu_of

HERE = Path(__file__).parent / "node_red"
PLACE = ROOT / ".cache" / "node-red"


def available() -> str:
    """ "" when Node-RED can be run here (it is installed on first use), else why not."""
    if not shutil.which("node") or not shutil.which("npm"):
        return "Node.js and npm are not installed"
    locked = (HERE / "package-lock.json").read_text()
    done = PLACE / ".installed"
    if done.exists() and done.read_text() == locked:
        return ""
    PLACE.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, PLACE / name)
    command = ["npm", "ci", "--omit=dev", "--omit=optional", "--no-audit", "--no-fund", "--ignore-scripts"]
    told = subprocess.run(command, cwd=PLACE, capture_output=True, text=True, check=False)
    if told.returncode:
        return f"npm could not install Node-RED: {told.stderr.strip().splitlines()[-1:]}"
    done.write_text(locked)
    return ""


class NodeRed:
    """`with`-less: `Stage` ends its process. `markers` has the moment of each marker message."""

    def __init__(self, stage: Stage) -> None:
        home = stage.folder / "node-red"
        home.mkdir()
        flow = home / "flow.json"
        flow.write_text((HERE / "flow.json").read_text().replace("${BENCH_MQTT_PORT}", str(stage.broker.port)))
        program = PLACE / "node_modules" / "node-red" / "red.js"
        self._child = stage.child(
            "node", str(program), "--userDir", str(home), "--settings", str(HERE / "settings.js"),
            env={"BENCH_FLOW": str(flow), "NODE_ENV": "production"},
        )  # fmt: skip
        self.pid = self._child.pid
        self.markers: Queue[float] = Queue()
        self._connected = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                line = self._child.line()
            except (RuntimeError, ValueError, OSError):
                return
            if "marker" in line:
                self.markers.put(time.time())
            elif "Connected to broker" in line:
                self._connected.set()

    def wait(self) -> None:
        """Until its subscription stands: a marker comes through."""
        if not self._connected.wait(60):
            raise RuntimeError("Node-RED did not connect to the broker within 60 s")

    @property
    def cpu(self) -> float:
        return cpu_of(self.pid)

    def end(self) -> None:
        self._child.process.terminate()
        self._child.end()


def version() -> str:
    path = PLACE / "node_modules" / "node-red" / "package.json"
    import json

    return str(json.loads(path.read_text())["version"]) if os.path.exists(path) else ""  # noqa: PTH110
