"""Images without a builder and without a registry: layers from bytes, written as the archive that `ctr images import` reads.

    image = busybox("edge.test/echo:1", {"run.sh": "#!/bin/sh\\nexec sleep 100\\n"}, entrypoint=("/run.sh",))
    cluster.load(image)

The format is docker-archive (Docker Image Specification v1.2). The same input gives the same bytes, hence the same digest.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.cluster.needs import CannotRun, program_path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    target: str


@dataclass(frozen=True, slots=True)
class Folder:
    """An empty folder. Folders of files are made without being asked for, 0755, owned by root."""

    mode: int = 0o755
    owner: int = 0


@dataclass(frozen=True, slots=True)
class File:
    """Content with a mode and an owner of its own. Bare str and bytes are 0755, owned by root."""

    content: bytes
    mode: int = 0o755
    owner: int = 0


Entry = bytes | str | File | Folder | Link


@dataclass(frozen=True, slots=True)
class Image:
    """An image to be. `layers` map paths without a leading slash to what is there. `user` as in a container file."""

    reference: str
    layers: tuple[Mapping[str, Entry], ...]
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    user: str = ""
    workdir: str = "/"
    labels: Mapping[str, str] = field(default_factory=dict)
    arch: str = ""
    """As Go names it: amd64, arm64, arm. Empty: this machine's."""

    def with_layer(self, entries: Mapping[str, Entry], reference: str = "") -> Image:
        """The same with one more layer on top, perhaps under another name."""
        return replace(self, layers=(*self.layers, entries), reference=reference or self.reference)

    def archive(self) -> bytes:
        """The docker-archive."""
        layers = [layer(entries) for entries in self.layers]
        digests = [hashlib.sha256(content).hexdigest() for content in layers]
        config = {
            "architecture": self.arch or ARCHITECTURES[platform.machine()],
            "os": "linux",
            "config": {
                "Entrypoint": list(self.entrypoint) or None,
                "Cmd": list(self.cmd) or None,
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *self.env],
                "User": self.user,
                "WorkingDir": self.workdir,
                "Labels": dict(self.labels) or None,
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
            "history": [{"created_by": "tests.cluster.images"} for _ in layers],
        }
        if config["architecture"] == "arm":
            config["variant"] = "v7"
        document = json.dumps(config).encode()
        name = f"{hashlib.sha256(document).hexdigest()}.json"
        files = [f"{digest}/layer.tar" for digest in digests]
        manifest = [{"Config": name, "RepoTags": [self.reference], "Layers": files}]
        output = io.BytesIO()
        with tarfile.open(fileobj=output, mode="w") as tar:
            contents = {**dict(zip(files, layers, strict=True)), name: document}
            for path, content in {**contents, "manifest.json": json.dumps(manifest).encode()}.items():
                add(tar, path, File(content, 0o644))
        return output.getvalue()

    def write(self, path: Path) -> Path:
        """The archive as a file; returns `path`."""
        path.write_bytes(self.archive())
        return path


def layer(entries: Mapping[str, Entry]) -> bytes:
    """One layer as a tar file, folders first."""
    whole: dict[str, Entry] = {}
    for path in entries:
        for parent in reversed(Path(path).parents[:-1]):
            whole.setdefault(str(parent), Folder())
    whole.update(entries)
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        for path in sorted(whole):
            add(tar, path, whole[path])
    return output.getvalue()


def add(tar: tarfile.TarFile, path: str, entry: Entry) -> None:
    info = tarfile.TarInfo(path)
    if isinstance(entry, Link):
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.target, 0o777
        tar.addfile(info)
    elif isinstance(entry, Folder):
        info.type, info.mode, info.uid, info.gid = tarfile.DIRTYPE, entry.mode, entry.owner, entry.owner
        tar.addfile(info)
    else:
        made = entry if isinstance(entry, File) else File(entry.encode() if isinstance(entry, str) else entry)
        info.size, info.mode, info.uid, info.gid = len(made.content), made.mode, made.owner, made.owner
        tar.addfile(info, io.BytesIO(made.content))


def static_busybox() -> bytes:
    """Debian's busybox-static. Raises CannotRun where it is missing or needs libraries."""
    path = program_path("busybox")
    content = b"" if path is None else Path(path).read_bytes()
    if b"ld-linux" in content[:4096] or not content:
        raise CannotRun(
            "busybox-static is missing (a busybox with libraries is of no use): '.ci/setup cluster' installs it"
        )
    return content


def base_layer(binary: bytes | None = None) -> dict[str, Entry]:
    """What stands in for `FROM alpine`: busybox with its applets, users root and nobody, /tmp. `binary` of another machine."""
    applets = subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
    entries: dict[str, Entry] = {f"bin/{applet}": Link("busybox") for applet in applets if applet != "busybox"}
    return {
        **entries,
        "bin/busybox": static_busybox() if binary is None else binary,
        "tmp": Folder(0o1777),
        "etc/passwd": File(b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", 0o644),
        "etc/group": File(b"root:x:0:\nnogroup:x:65534:\n", 0o644),
        "usr/bin/env": Link("../../bin/busybox"),
        "lib": Folder(),
    }


def busybox(
    reference: str, entries: Mapping[str, Entry] | None = None, *, entrypoint: tuple[str, ...] = (), user: str = "65534"
) -> Image:
    """An image of the base and one layer of your own, run by nobody. Change the rest with dataclasses.replace."""
    layers = (base_layer(), entries) if entries else (base_layer(),)
    return Image(reference, layers, entrypoint=entrypoint, cmd=() if entrypoint else ("/bin/sh",), user=user)


PAUSE = "edge.test/pause:1"


def pause() -> Image:
    """What holds a pod's namespaces: it sleeps. (Upstream's also reaps for pods that share one process namespace.)"""
    return Image(PAUSE, ({"pause": static_busybox(), "bin/sleep": Link("../pause")},), ("/bin/sleep", "infinity"))
