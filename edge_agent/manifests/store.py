"""The manifest folder as a store: one document is put or deleted, everything else in the folder stays as people
wrote it.

A change is judged together with the whole folder before anything is written, and written by rename, so a crash
leaves the old file or the new one. Errors: `Invalid`, `Conflict` (changed since it was read), `NotFound`,
`Unavailable` (disk)."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_agent.domain.function import FunctionSpec
from edge_agent.errors import Conflict, Fault, Invalid, NotFound, Unavailable
from edge_agent.manifests import documents, writing
from edge_agent.manifests.folder import PLAIN, Manifests, Source, judge, load_folder, sources
from edge_agent.wording import did_you_mean

_SEPARATOR = re.compile(r"(---|\.\.\.)(\s|$)")


def own_file(kind: str, name: str) -> str:
    """What a file is called that holds a manifest people gave to the API."""
    return f"{name}.{kind.lower()}.yaml"


class ManifestFolder:
    """One folder of YAML files. Thread-safe; files people edit meanwhile are read afresh at each call."""

    def __init__(self, path: Path, *, defaults: FunctionSpec = PLAIN) -> None:
        self.path = path
        self.defaults = defaults
        self._lock = threading.Lock()

    def load(self) -> Manifests:
        """Everything in the folder, which is made when it is not there. Raises `Invalid`."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return load_folder(self.path, defaults=self.defaults)

    def version(self, kind: str, name: str) -> str:
        """The hash `if_match` is compared with. Raises `NotFound`."""
        return writing.version(self._find(kind, name).manifest)

    def put(
        self, kind: str, name: str, manifest: Mapping[str, Any], *, if_match: str = "", dry_run: bool = False
    ) -> tuple[Manifests, str]:
        """Store one manifest; what the folder then declares, and the manifest's version. `if_match` "*": it must
        exist."""
        self._named(kind, name, manifest)
        with self._lock:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            old = self._seek(kind, name)
            if if_match:
                self._match(kind, name, old, if_match)
            text = writing.dump_manifest(manifest)
            if old is None:
                file = self.path / own_file(kind, name)
                if file.exists():  # a person's file that has our name and another manifest in it: add, never overwrite
                    text = f"{file.read_text(encoding='utf-8').rstrip()}\n---\n{text}"
            else:
                file = Path(old.file)
                text = _replaced(file.read_text(encoding="utf-8"), old, text)
            after = self._judge(file, text)
            if not dry_run and (old is None or old.manifest != manifest):
                _write(file, text)
            return after, writing.version(manifest)

    def delete(self, kind: str, name: str, *, if_match: str = "", dry_run: bool = False) -> Manifests:
        """Remove one manifest; what the folder then declares. Raises `Conflict` while another one refers to it."""
        with self._lock:
            old = self._find(kind, name)
            if if_match:
                self._match(kind, name, old, if_match)
            file = Path(old.file)
            text = _removed(file.read_text(encoding="utf-8"), old)
            try:
                after = self._judge(file, text)
            except Invalid as error:
                raise Conflict(f"{kind} {name} is still used:\n{error}") from error
            if not dry_run:
                if text.strip():
                    _write(file, text)
                else:
                    file.unlink()
            return after

    def _judge(self, file: Path, text: str) -> Manifests:
        """What the folder would declare if `file` held `text`."""
        texts, faults = sources(self.path)
        others = [source for source in texts if source.file != str(file)]
        return judge([*others, Source(str(file), text, self.path.absolute())], faults, defaults=self.defaults)

    def _seek(self, kind: str, name: str) -> documents.Document | None:
        for source in sources(self.path)[0]:
            for document in documents.read(source.text, source.file):
                if (document.kind, document.name) == (kind, name):
                    return document
        return None

    def _find(self, kind: str, name: str) -> documents.Document:
        found = self._seek(kind, name)
        if found is None:
            names = [n for k, n in self._declared() if k == kind]
            raise NotFound(f"there is no {kind.lower()} {name}; {did_you_mean(name, names) or 'none is declared'}")
        return found

    def _declared(self) -> list[tuple[str, str]]:
        read = (documents.read(source.text, source.file) for source in sources(self.path)[0])
        return [(document.kind, document.name) for group in read for document in group if document.name]

    def _match(self, kind: str, name: str, old: documents.Document | None, if_match: str) -> None:
        if old is None:
            raise Conflict(f"{kind} {name} does not exist any more; read it again")
        if if_match not in ("*", writing.version(old.manifest)):
            raise Conflict(f"{kind} {name} was changed since it was read; read it again and repeat the change")

    def _named(self, kind: str, name: str, manifest: Mapping[str, Any]) -> None:
        """The manifest must be the one its address says."""
        metadata = manifest.get("metadata")
        inside = (manifest.get("kind"), metadata.get("name") if isinstance(metadata, dict) else None)
        if kind not in documents.KINDS or inside != (kind, name):
            message = f"is {inside[0]} {inside[1]}, and {kind} {name} was to be stored"
            raise Invalid([Fault(f"{name}.{kind.lower()}.yaml", 1, 1, "metadata.name", message, "make them the same")])


def _replaced(text: str, old: documents.Document, new: str) -> str:
    """`text` with the old document's lines exchanged for `new`; comments around it stay."""
    lines = text.splitlines(keepends=True)
    first, last = _extent(lines, old)
    head = lines[first][: old.places[()][1] - 1].rstrip()  # what stands before it on its first line: a `---`
    return "".join([*lines[:first], f"{head}\n" if head else "", new, *lines[last:]])


def _removed(text: str, old: documents.Document) -> str:
    """`text` without the old document, the comments right above it, and one separator."""
    lines = text.splitlines(keepends=True)
    first, last = _extent(lines, old)
    while first > 0 and not _SEPARATOR.match(lines[first]):
        first -= 1
    while last < len(lines) and not _SEPARATOR.match(lines[last]):
        last += 1
    before, after = lines[:first], lines[last:]
    if not "".join(before).strip() and after:
        after = after[1:] if lines[last].strip() == "---" else after
    return "".join(before + after)


def _extent(lines: list[str], document: documents.Document) -> tuple[int, int]:
    """The lines [first, last) that are the document itself: blank lines and comments after it are not."""
    last = min(max(document.end, document.start + 1), len(lines))
    while last > document.start + 1 and (not lines[last - 1].strip() or lines[last - 1].startswith("#")):
        last -= 1
    return document.start, last


def _write(file: Path, text: str) -> None:
    """All of it or nothing, on disk when it returns."""
    try:
        mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=file.parent, prefix=".", suffix=".tmp", delete=False
        ) as temporary:
            temporary.write(text)
            temporary.flush()
            os.fchmod(temporary.fileno(), mode)
            os.fsync(temporary.fileno())
        Path(temporary.name).replace(file)
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise Unavailable(
            f"{file} cannot be written: {error.strerror}; check the disk and who may write there"
        ) from error
