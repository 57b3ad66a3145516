"""A Linux of its own, for what this machine's is not set up for: control groups of version 2 alone, as on a Raspberry Pi.

Enters: a command. Leaves: its exit status, and all that it printed. It runs as root, in a service's group with all controllers,
and sees this machine's files as they are: the same Python, the same tests.
Guarantee: nothing it does reaches this machine. What it writes stays in its memory, and it has no network but its own loopback.
Not chosen: KVM, which many machines that test do not have, and some say they have and hang; a disk image, which takes minutes
and has another Python.
Kernel: Debian's (`.ci/setup guest` fetches it with apt), as it is, with the modules named below. x86-64 only.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
KERNEL = ROOT / ".cache" / "guest" / "kernel"
"""Debian's kernel package, unpacked."""
MODULES = (
    "net/core/failover", "drivers/virtio/virtio_ring", "drivers/virtio/virtio", "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci_modern_dev", "drivers/virtio/virtio_pci", "fs/netfs/netfs", "fs/fscache/fscache", "net/9p/9pnet",
    "net/9p/9pnet_virtio", "fs/9p/9p", "fs/overlayfs/overlay",
)  # fmt: skip
"""In the order in which they need each other. What a kernel has built in, or has no more, has no file."""
MEMORY = 3072
"""MiB."""
ERRAND = """\
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root {environment}
echo "+cpu +memory +pids" > /sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/edge-agent.service
cd {folder}
sh -c 'echo $$ > /sys/fs/cgroup/edge-agent.service/cgroup.procs; exec "$@"' sh {command} > /run/errand/printed 2>&1
echo $? > /run/errand/status
"""


@dataclass(frozen=True, slots=True)
class Ended:
    status: int
    printed: str


def run(
    command: Sequence[str], errand: Path, *, environment: Mapping[str, str] | None = None, seconds: float = 600
) -> Ended:
    """Start a guest, run `command` in this project's folder, stop it. `errand`: a folder for the two to meet in.

    Errors: `FileNotFoundError` without kernel or emulator; `TimeoutError` when it is not done in time, `OSError` when the guest
    ended without having run it, both with what its console said last.
    """
    _prepare(command, errand, environment or {})
    machine = [
        _emulator(), "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(MEMORY), "-nic", "none", "-no-reboot",
        "-display", "none", "-monitor", "none", "-serial", "stdio", "-kernel", str(_kernel()),
        "-initrd", str(errand / "initramfs"), "-append", "console=ttyS0 quiet panic=-1",
        "-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
        "-virtfs", f"local,path={errand},mount_tag=errand,security_model=none",
    ]  # fmt: skip
    with (errand / "console").open("wb") as console:
        try:
            subprocess.run(
                machine, stdin=subprocess.DEVNULL, stdout=console, stderr=console, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{shlex.join(command)}: not done in {seconds:g} s: {_last(errand)}") from None
    try:
        return Ended(int((errand / "status").read_text()), (errand / "printed").read_text(errors="replace"))
    except FileNotFoundError:
        raise OSError(f"the guest ended without having run it: {_last(errand)}") from None


def _prepare(command: Sequence[str], errand: Path, environment: Mapping[str, str]) -> None:
    names = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    text = ERRAND.format(environment=names, folder=shlex.quote(str(ROOT)), command=shlex.join(command))
    (errand / "run").write_text(text)
    first = errand / "first"
    (first / "bin").mkdir(parents=True)
    (first / "modules").mkdir()
    shutil.copy(Path(__file__).with_name("init"), first / "init")
    (first / "init").chmod(0o755)
    (first / "init").chmod(0o755)
    shutil.copy(_found("busybox"), first / "bin" / "busybox")
    (library,) = (KERNEL / "lib" / "modules").iterdir()
    there = [path for module in MODULES if (path := library / "kernel" / f"{module}.ko").exists()]
    for path in there:
        shutil.copy(path, first / "modules")
    (first / "modules" / "order").write_text("".join(f"{path.stem}\n" for path in there))
    names_of = "\n".join(str(path.relative_to(first)) for path in sorted(first.rglob("*")))
    with (errand / "initramfs").open("wb") as packed:
        subprocess.run(
            [_found("busybox"), "cpio", "-o", "-H", "newc"], cwd=first, input=names_of.encode(), stdout=packed,
            stderr=subprocess.DEVNULL, check=True,
        )  # fmt: skip


def _emulator() -> str:
    if os.uname().machine != "x86_64":
        raise FileNotFoundError(f"the guest is for x86-64 machines; this one is {os.uname().machine}")
    return _found("qemu-system-x86_64")


def _found(program: str) -> str:
    if path := shutil.which(program):
        return path
    raise FileNotFoundError(f"there is no {program}: .ci/setup guest installs it")


def _kernel() -> Path:
    if found := sorted(KERNEL.glob("boot/vmlinuz-*")):
        return found[-1]
    raise FileNotFoundError(f"there is no kernel in {KERNEL}: .ci/setup guest fetches it")


def _last(errand: Path) -> str:
    said = (errand / "console").read_text(errors="replace")[-1500:]
    printed = (errand / "printed").read_text(errors="replace")[-1500:] if (errand / "printed").exists() else ""
    return re.sub(r"\x1b\S{0,6}", "", f"{said}\n{printed}".strip()) or "it said nothing"
