"""What a cluster needs of the machine: root, programs, kernel features. What lacks is said at once, with what to do."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.cluster import build

CNI = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
SYSTEM = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
PROGRAMS = {"ip": "iproute2", "nft": "nftables", "nsenter": "util-linux", "runc": "runc", "busybox": "busybox-static"}


class CannotRun(Exception):
    """This machine lacks something. The message says what, and what to do."""


def check() -> None:
    """Raises CannotRun with everything that is missing."""
    missing = []
    if os.geteuid() != 0:
        missing.append("a cluster needs root (namespaces, mounts, cgroups): run it as root, or with sudo")
    elif not may_make_namespaces():
        missing.append("this container may make no namespaces and mounts: start it with --privileged, or use a machine")
    packages = [package for program, package in PROGRAMS.items() if program_path(program) is None]
    if cni_folder() is None:
        packages.append("containernetworking-plugins")
    if packages:
        missing.append(f"these Debian packages are missing: {' '.join(packages)}; '.ci/setup cluster' installs them")
    if missing:
        raise CannotRun("\n".join(missing))


def may_make_namespaces() -> bool:
    """CAP_SYS_ADMIN and CAP_NET_ADMIN, as capabilities(7) numbers them."""
    held = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff"))
    return all(int(held.split()[1], 16) >> bit & 1 for bit in (12, 21))


def program_path(name: str) -> str | None:
    """Where a program of the system is; Debian's sbin folders are looked in too."""
    return shutil.which(name, path=":".join([os.environ.get("PATH", ""), *SYSTEM]))


def cni_folder() -> Path | None:
    """The folder of the CNI plugins, Debian's or upstream's."""
    return next((folder for folder in CNI if (folder / "bridge").exists()), None)


def binaries() -> Path:
    """The folder of what is built from go.mod: kube, kubectl, kine, containerd, its shim, ctr. Built now if it is not there.

    `EDGE_CLUSTER_BIN` names another folder.
    """
    given = os.environ.get("EDGE_CLUSTER_BIN")
    return Path(given) if given else build.built()
