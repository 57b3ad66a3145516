"""Deployed versions of functions on disk: a copy of each folder, so that who edits the folder changes nothing that runs.

`functions/<name>/<version>/` in the data folder is the copy, `functions/<name>/releases.json` the record; a version is a hash
of what the folder and the manifest hold, so deploying the same twice makes one. Guarantee: a copy is whole or not there;
the newest `KEPT` versions that have served are kept. Not chosen: archives, which every start of a worker would have to unpack.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.domain.quantities import format_size
from edge_agent.errors import Fault, Invalid, NotFound, Unavailable

KEPT = 5
"""Versions of one function, the one that serves included."""
MOST_BYTES = 250 * 1024 * 1024
"""Of one folder: AWS Lambda's own quota for a deployment package, unzipped."""
MOST_FILES = 20_000
SKIPPED = {".git", "__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache", ".venv"}
BUILT = {"Cargo.toml": "target", "pom.xml": "target"}
"""Where such a file stands, that folder holds what the build left behind, often gigabytes."""
Json = dict[str, Any]


class Release(msgspec.Struct, frozen=True):
    """`manifest` as it was given. `copied`: its source is our copy. `origin`: where the folder was. Times are epoch ms."""

    version: str
    manifest: dict[str, Any]
    deployed_at: int
    origin: str = ""
    copied: bool = True
    size: int = 0


class Releases:
    """One folder of versions. Not thread-safe: one deployment at a time for each function."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def copy(self, name: str, folder: Path, source: Path, manifest: Json, at: int) -> Release:
        """Keep a copy of `source`, the folder that `manifest` (in `folder`) runs in. Errors: `Invalid`, `Unavailable`."""
        home = self._root / name
        fresh = home / f".new-{secrets.token_hex(4)}"
        try:
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh.mkdir()
            digest = hashlib.sha256(json.dumps(_plain(manifest), sort_keys=True).encode())
            size = 0
            for path in _files(source):
                size += _copy(path, source, fresh, digest)
                if size > MOST_BYTES:
                    raise _too_large(source, f"more than {format_size(MOST_BYTES)}")
            version = digest.hexdigest()[:12]
            if not (home / version).exists():
                fresh.rename(home / version)
            _sync(home)
        except OSError as error:
            where = error.filename or source
            raise Unavailable(
                f"{folder} cannot be copied: {where}: {error.strerror}; may the agent's user read it?"
            ) from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        return Release(version, manifest, at, str(folder), copied=True, size=size)

    def all(self, name: str) -> list[Release]:
        """The versions that have served, the newest last."""
        try:
            return msgspec.json.decode((self._root / name / "releases.json").read_bytes(), type=list[Release])
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError) as error:
            raise Unavailable(
                f"the versions of {name} cannot be read: {error}; deploy it again from its folder"
            ) from error

    def find(self, name: str, version: str) -> Release:
        found = [release for release in self.all(name) if release.version.startswith(version)]
        if not found:
            known = ", ".join(release.version for release in self.all(name)) or "none is kept"
            raise NotFound(f"{name} has no version {version}; there are: {known}")
        return found[-1]

    def manifest(self, release: Release) -> Json:
        """The manifest with which it runs."""
        if not release.copied:
            return release.manifest
        name = release.manifest["metadata"]["name"]
        source = str((self._root / name / release.version).absolute())
        return {**release.manifest, "spec": {**release.manifest["spec"], "source": source}}

    def serves(self, name: str, *newest: Release) -> None:
        """The last of these is live, those before it were: they are the newest now, and the oldest beyond `KEPT` go."""
        versions = [release.version for release in newest]
        kept = [*(known for known in self.all(name) if known.version not in versions), *newest][-KEPT:]
        self._write(name, kept)
        self.drop(name, keep=[known.version for known in kept])

    def drop(self, name: str, keep: Iterable[str]) -> None:
        """Remove every copy but these."""
        kept = set(keep)
        for path in self._folders(name):
            if path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)

    def tidy(self, names: Iterable[str]) -> None:
        """Remove what belongs to functions that are no more, and what a crash has left."""
        there = [path.name for path in self._root.iterdir() if path.is_dir()] if self._root.is_dir() else []
        for gone in set(there) - set(names):
            shutil.rmtree(self._root / gone, ignore_errors=True)

    def _folders(self, name: str) -> list[Path]:
        home = self._root / name
        return [path for path in home.iterdir() if path.is_dir()] if home.is_dir() else []

    def _write(self, name: str, releases: list[Release]) -> None:
        home = self._root / name
        fresh = home / "releases.new"
        try:
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            with fresh.open("wb") as file:
                fresh.chmod(0o600)
                file.write(msgspec.json.format(msgspec.json.encode(releases), indent=1))
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(home / "releases.json")
            _sync(home)
        except OSError as error:
            raise Unavailable(
                f"the version of {name} cannot be recorded: {error.strerror}; is the disk full?"
            ) from error


def _plain(manifest: Json) -> Json:
    """What the version depends on: where the folder stood is no part of it."""
    return {**manifest, "spec": {key: value for key, value in manifest["spec"].items() if key != "source"}}


def _files(source: Path) -> Iterator[Path]:
    """Everything below, in one order, without what no function runs on. Errors: `Invalid`, OSError."""
    skipped = SKIPPED | {folder for mark, folder in BUILT.items() if (source / mark).exists()}
    count = 0
    for root, folders, files in os.walk(source, onerror=_raise):
        folders[:] = sorted(name for name in folders if name not in skipped)
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        for name in sorted([*files, *links]):
            count += 1
            if count > MOST_FILES:
                raise _too_large(source, f"more than {MOST_FILES} files")
            yield Path(root) / name


def _raise(error: OSError) -> None:
    raise error


def _copy(path: Path, source: Path, target: Path, digest: Any) -> int:
    """One file with its mode, or a link that stays inside; its bytes. Errors: `Invalid`, OSError."""
    relative = path.relative_to(source)
    copied = target / relative
    copied.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        aim = os.readlink(path)  # noqa: PTH115 - the text, not a Path made of it
        if not path.resolve().is_relative_to(source.resolve()) or aim.startswith("/"):
            message = f"{path} is a link to {aim}, outside the folder"
            raise Invalid([Fault(str(source), 0, 0, "source", message, "put a copy of it into the folder")])
        copied.symlink_to(aim)
        digest.update(f"link {relative} {aim}\0".encode("utf-8", "surrogateescape"))
        return 0
    if not path.is_file():  # a socket or a pipe holds nothing
        return 0
    mode = path.stat().st_mode & 0o111
    digest.update(f"file {relative} {bool(mode)}\0".encode("utf-8", "surrogateescape"))
    size = 0
    with path.open("rb") as old, copied.open("xb") as new:
        while chunk := old.read(1 << 20):
            new.write(chunk)
            digest.update(chunk)
            size += len(chunk)
        os.fchmod(new.fileno(), 0o755 if mode else 0o644)
    digest.update(f"\0{size}\0".encode())
    return size


def _too_large(source: Path, what: str) -> Invalid:
    hint = "leave out what it does not need to run, or build an image"
    return Invalid([Fault(str(source), 0, 0, "source", f"holds {what}", hint)])


def _sync(folder: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
