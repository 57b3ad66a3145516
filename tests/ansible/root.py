"""The disk a node starts from: a small Debian of this machine's own release, made once and kept in `.cache/ansible`.

It holds what Raspberry Pi OS Lite brings and Ansible needs (SSH, Python, sudo), and apt's lists from the same sources as this
machine's; what our roles install is not in it. Nodes write into a layer above (overlay), never into it.
"""

from __future__ import annotations

import fcntl
import hashlib
import platform
import shutil
import subprocess
from pathlib import Path

from tests.cluster import needs

CACHE = Path(__file__).parents[2] / ".cache" / "ansible"
PACKAGES = (
    "systemd", "systemd-sysv", "systemd-timesyncd", "dbus", "openssh-server", "python3", "python3-apt", "sudo", "iproute2",
    "kmod", "procps", "ca-certificates", "libseccomp2", "less", "locales", "tzdata",
)  # fmt: skip
SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
HOOK = (  # apt's services would start inside the building site; keys and the machine's name belong to each node
    'rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/machine-id "$1"/var/lib/dbus/machine-id; touch "$1"/etc/machine-id; '
    'chroot "$1" systemctl mask systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket '
    "getty@tty1.service console-getty.service systemd-logind.service"
)
UNUSED = ("usr/share/doc", "usr/share/locale", "usr/share/man", "var/cache/apt")


def release() -> str:
    """`bookworm`, `trixie`: the codename of this machine's Debian."""
    return platform.freedesktop_os_release()["VERSION_CODENAME"]


def debian(architecture: str = "") -> Path:
    """The folder of the root, made now where it is not there (half a minute, once). Raises CannotRun.

    `architecture` other than this machine's runs under qemu-user (binfmt).
    """
    if needs.program_path("mmdebstrap") is None:
        raise needs.CannotRun("mmdebstrap is missing: '.ci/setup ansible' installs it")
    recipe = hashlib.sha256(repr((release(), PACKAGES, HOOK)).encode()).hexdigest()[:12]
    CACHE.mkdir(parents=True, exist_ok=True)
    target = CACHE / f"root-{architecture or 'native'}-{recipe}"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            make(target, architecture)
    return target


def make(target: Path, architecture: str) -> None:
    """Fetch and unpack; the folder has its name only when it is whole."""
    fresh = target.with_suffix(".part")
    shutil.rmtree(fresh, ignore_errors=True)
    command = ["mmdebstrap", "--variant=minbase", "--format=directory", f"--include={','.join(PACKAGES)}"]
    command += [f"--architectures={architecture}"] if architecture else []
    command += ["--skip=cleanup/apt/lists", f"--customize-hook={HOOK}", release(), str(fresh)]
    command += [str(SOURCES)] if SOURCES.exists() else []
    log = CACHE / "root.log"
    with log.open("w") as out:
        code = subprocess.run(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, check=False).returncode
    if code:
        raise needs.CannotRun(f"no Debian root could be made:\n{log.read_text()[-2000:]}")
    for folder in UNUSED:
        shutil.rmtree(fresh / folder, ignore_errors=True)
    (fresh / "var/cache/apt/archives/partial").mkdir(parents=True)
    fresh.rename(target)
