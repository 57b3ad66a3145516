"""What takes Alpine's place, for no registry can be reached from here: Debian's busybox-static, for each processor,
and an `apk` that unpacks what packages.py has packed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.images import packages

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "images"
ARCHITECTURES = {"linux/amd64": "amd64", "linux/arm64": "arm64", "linux/arm/v7": "armhf"}
"""Ours, and Debian's name for it."""
CONTAINERFILE = "ARG TARGETARCH\nFROM scratch\nARG TARGETARCH\nCOPY ${TARGETARCH}/ /\n"


def storage(folder: Path) -> list[str]:
    """buildah's layers in a folder of the test's, without mounts."""
    return ["--root", str(folder / "layers"), "--runroot", str(folder / "run"), "--storage-driver", "vfs"]


def busybox(architecture: str) -> Path:
    """Debian's static busybox, from its own package; apt keeps its lists apart, so the machine's stay as they are."""
    kept = CACHE / f"busybox-{architecture}"
    if kept.exists():
        return kept
    apt = CACHE / f"apt-{architecture}"
    for name in ("lists/partial", "cache/archives/partial", "state"):
        (apt / name).mkdir(parents=True, exist_ok=True)
    (apt / "state" / "status").touch()
    options = [
        f"APT::Architecture={architecture}",
        f"APT::Architectures::={architecture}",
        f"Dir::State::Lists={apt}/lists",
    ]
    options += [f"Dir::Cache={apt}/cache", f"Dir::State::status={apt}/state/status", "APT::Sandbox::User=root"]
    words = ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]
    subprocess.run([*words, "update"], check=False, capture_output=True, timeout=300)
    subprocess.run([*words, "download", "busybox-static"], cwd=apt, check=True, capture_output=True, timeout=300)
    (package,) = apt.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", package, apt / "root"], check=True, timeout=60)
    shutil.copy(next(apt.glob("root/**/bin/busybox")), kept.with_suffix(".new"))
    kept.with_suffix(".new").rename(kept)
    shutil.rmtree(apt)
    return kept


def base(folder: Path, name: str, platforms: tuple[str, ...]) -> None:
    """Builds the stand-in under `name` into the storage of `folder`."""
    context = folder / "base"
    for platform in platforms:
        root = context / platform.split("/")[1]
        for place in ("bin", "sbin", "etc", "proc", "dev", "sys", "tmp", "run"):
            (root / place).mkdir(parents=True)
        (root / "tmp").chmod(0o1777)
        shutil.copy(busybox(ARCHITECTURES[platform]), root / "bin" / "busybox")
        for applet in subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout.split():
            if applet != "busybox":
                (root / "bin" / applet).symlink_to("busybox")
        (root / "etc" / "passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
        (root / "etc" / "nsswitch.conf").write_text("hosts: files dns\n")
        (root / "sbin" / "apk").write_text(packages.APK)
        (root / "sbin" / "apk").chmod(0o755)
    (context / "Containerfile").write_text(CONTAINERFILE)
    words = ["build", "--timestamp", "0", "--layers=false", "--platform", ",".join(platforms), "--manifest", name]
    buildah(folder, *words, "--file", str(context / "Containerfile"), str(context))


def buildah(folder: Path, *words: str) -> str:
    """What it prints; RuntimeError with what it said."""
    done = subprocess.run(
        ["buildah", *storage(folder), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=environment(),
    )
    if done.returncode:
        raise RuntimeError(f"buildah {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


def environment() -> dict[str, str]:
    """For buildah where containers cannot be nested."""
    return {**os.environ, "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}
