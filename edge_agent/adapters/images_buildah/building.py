"""One folder becomes one image in the registry."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_agent.adapters.images_buildah.access import Access
from edge_agent.errors import Fault, Invalid, Refused, Unavailable

Say = Callable[[str], None]
CONTAINERFILES = ("Containerfile", "Dockerfile")
LAST_WORDS = 12
"""Lines of a build that failed which go into the error."""
TROUBLES = (
    ("unauthorized", "the registry does not take user and password: see [registry] in the configuration, or buildah login"),
    ("authentication required", "the registry asks for user and password: see [registry] in the configuration"),
    ("x509", "the registry's certificate is not trusted: set registry.tls_ca to its CA"),
    ("connection refused", "nobody answers there: is the registry running (systemctl status docker-registry)?"),
    ("no such host", "this machine does not know that name: put it into /etc/hosts"),
    ("manifest unknown", "a base is not in the registry: images/build --push puts the bases there"),
    ("exec format error", "this machine cannot run that processor's programs: apt install qemu-user-static"),
    ("no space left", "the disk is full: buildah prune --all"),
    ("405, method not allowed", "the registry is read-only, which it is while garbage is collected: try again in a minute"),
    ("cannot setup namespace", "buildah needs sub-ids for this user: usermod --add-subuids 100000-165535 "
                               "--add-subgids 100000-165535 $USER"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to build: `folder` holds the Containerfile, `name` and `tag` are the image's, `platforms` as linux/arm64 ((): this
    machine's)."""

    folder: Path
    name: str
    tag: str
    platforms: tuple[str, ...] = ()

    def containerfile(self) -> Path:
        """Errors: `Invalid`."""
        for name in CONTAINERFILES:
            if (self.folder / name).is_file():
                return self.folder / name
        hint = "edgectl functions new writes one; or name an image with --image"
        raise Invalid([Fault(str(self.folder), 0, 0, "Containerfile", "is not there, so no image can be built", hint)])


class Images:
    """Builds and pushes, one after the other. `say` gets each line of what buildah tells."""

    def __init__(self, access: Access, say: Say, *, storage: Sequence[str] = ()) -> None:
        """`storage`: buildah's own options on where it keeps layers, such as `--root`, for tests. Errors: `Refused`."""
        for program in ("buildah", "skopeo"):
            if shutil.which(program) is None:
                raise Refused(f"{program} is not installed here: apt install buildah skopeo")
        self._access = access
        self._say = say
        self._storage = list(storage)

    def publish(self, recipe: Recipe) -> str:
        """Build, push, and return the name by digest: `registry/name@sha256:...`.

        Errors: `Invalid` (no Containerfile), `Refused` (it cannot be built, or not be pushed), `Unavailable` (registry away).
        """
        file = recipe.containerfile()
        repository = f"{self._access.address}/{recipe.name}"
        local = f"{repository}:{recipe.tag}"
        build = ["build", "--timestamp", "0", "--layers=false", "--format", "oci", "--manifest", local]
        build += [
            "--build-arg",
            f"REGISTRY={self._access.address}",
            "--label",
            f"org.opencontainers.image.title={recipe.name}",
        ]
        if recipe.platforms:
            build += ["--platform", ",".join(recipe.platforms)]
        with self._access.options() as options, tempfile.TemporaryDirectory() as folder:
            self._forget(local)
            try:
                self._run(
                    ["buildah", *self._storage, *build, *options, "--file", str(file), str(recipe.folder)],
                    f"building {recipe.name} failed",
                )
                # Not pushed by buildah: `manifest push` of 1.28 says nothing and ends with 0 when it could push nothing.
                layout, digest = f"oci:{folder}/image", Path(folder) / "digest"
                self._run(
                    ["buildah", *self._storage, "manifest", "push", "--all", local, layout], "it cannot be written"
                )
                push = ["skopeo", "copy", "--all", "--retry-times", "2", "--digestfile", str(digest)]
                push += [option.replace("--cert-dir", "--dest-cert-dir") for option in options]
                self._run([*push, layout, f"docker://{local}"], f"pushing {local} failed")
                return f"{repository}@{digest.read_text().strip()}"
            finally:
                self._forget(local)

    def _forget(self, local: str) -> None:
        """The list under this name, if there is one, and the images in it that nobody else names."""
        subprocess.run(
            ["buildah", *self._storage, "rmi", local], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )

    def _run(self, words: list[str], what: str) -> None:
        """Errors: `Refused`, `Unavailable`, with what to do."""
        last: deque[str] = deque(maxlen=LAST_WORDS)
        with subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line := line.rstrip():
                    last.append(line)
                    self._say(line)
        if process.returncode:
            said = "\n".join(last)
            hint = next((todo for word, todo in TROUBLES if word in said.lower()), "")
            kind = Unavailable if "nobody answers" in hint or "read-only" in hint else Refused
            raise kind(f"{what}{f'; {hint}' if hint else ''}. It said:\n{said}")
