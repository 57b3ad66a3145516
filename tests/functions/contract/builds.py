"""Functions that have to be built before they run, each once, into `.cache/contract`.

Enters: a folder of sources whose lock file pins every dependency. Leaves: a folder named after their
content, whole or not there.
Guarantee: what is built is not built again; two that build at the same time wait for each other.

    python -m tests.functions.contract.builds node go
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
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
CACHE = ROOT / ".cache" / "contract"
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/go/bin", str(Path.home() / ".cargo" / "bin")])
"""With the places where Go's and Rust's own installers put them."""
ECHO = ROOT / "tests" / "bench" / "workers" / "echo_go"


def node() -> Path:
    """`node_modules` with aws-lambda-ric; its addon is compiled here, against the Node.js of this machine."""
    return _built(
        "node", HERE / "node", ("package.json", "package-lock.json"), _install_node, _run(["node", "--version"])
    )


def go(source: Path = HERE / "go") -> Path:
    """The program `function`."""
    return _built("go", source, ("go.mod", "go.sum", "main.go"), _build_go)


def rust() -> Path:
    """The program `function`."""
    return _built("rust", HERE / "rust", ("Cargo.toml", "Cargo.lock", "src/main.rs"), _build_rust)


def java() -> Path:
    """Classes, and the libraries they need in `lib`."""
    return _built("java", HERE / "java", ("pom.xml", "Function.java", "Raw.java"), _build_java)


def echo() -> Path:
    """The worker of the benchmarks in Go: the program `function`."""
    return go(ECHO)


BUILDS: dict[str, Callable[[], Path]] = {"node": node, "go": go, "rust": rust, "java": java, "echo": echo}


def _built(
    name: str, source: Path, files: tuple[str, ...], make: Callable[[Path, Path], None], with_what: str = ""
) -> Path:
    digest = hashlib.sha256(with_what.encode() + b"\0".join((source / file).read_bytes() for file in files))
    folder = CACHE / f"{name}-{digest.hexdigest()[:16]}"
    if folder.exists():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            began = time.monotonic()
            print(f"-- building {source.relative_to(ROOT)}", file=sys.stderr, flush=True)
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(source, unfinished)
            unfinished.rename(folder)
            print(f"-- built in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return folder


def _install_node(source: Path, into: Path) -> None:
    """npm as it is, and the headers of this very Node.js: node-gyp would download them otherwise."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(source / name, into)
    prefix = Path(_run(["node", "-p", "process.execPath"]).strip()).resolve().parents[1]
    if not (prefix / "include" / "node" / "node_api.h").exists():
        raise RuntimeError(f"the headers of Node.js are not in {prefix}/include/node (Debian: apt install libnode-dev)")
    settings = {"npm_config_nodedir": str(prefix), "MAKEFLAGS": f"-j{os.cpu_count() or 1}"}
    _run(["npm", "ci", "--no-audit", "--no-fund", "--foreground-scripts"], cwd=into, env=settings)


def _build_go(source: Path, into: Path) -> None:
    settings = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
    _run(["go", "build", "-trimpath", "-buildvcs=false", "-o", str(into / "function"), "."], cwd=source, env=settings)


def _build_rust(source: Path, into: Path) -> None:
    """Our lock file says which crate, version and checksum; where this machine gets crates from, cargo says itself."""
    target, copy = CACHE / "rust-target", CACHE / "rust-source"
    shutil.copytree(source, copy, dirs_exist_ok=True)
    lock = copy / "Cargo.lock"
    pinned = lock.read_text()
    lock.unlink()
    _run(["cargo", "generate-lockfile", "--quiet"], cwd=copy)
    where = re.search(r"^source = .*$", lock.read_text(), re.MULTILINE)
    assert where, "cargo wrote a lock file in a form we do not know"
    lock.write_text(re.sub(r"^checksum = ", f"{where[0]}\nchecksum = ", pinned, flags=re.MULTILINE))
    _run(["cargo", "build", "--quiet", "--release", "--locked", "--target-dir", str(target)], cwd=copy)
    shutil.copy(target / "release" / "contract", into / "function")


def _build_java(source: Path, into: Path) -> None:
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={into}/lib"]
    _run(["mvn", "-q", "-B", "-f", str(source / "pom.xml"), *goal])
    sources = [str(source / name) for name in ("Function.java", "Raw.java")]
    _run(["javac", "-encoding", "UTF-8", "-cp", f"{into}/lib/*", "-d", str(into), *sources])


def _run(command: list[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    variables = {**os.environ, "PATH": PATH, **(env or {})}
    program = shutil.which(command[0], path=PATH) or command[0]
    try:
        done = subprocess.run(
            [program, *command[1:]], cwd=cwd, env=variables, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise RuntimeError(
            f"{command[0]} is not installed: .ci/setup installs what the functions are built with"
        ) from error
    if done.returncode:
        raise RuntimeError(f"`{' '.join(command)}` failed:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        BUILDS[wanted]()
