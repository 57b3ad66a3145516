"""Many manifests judged together: every fault of every file at once, references between them included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_agent.domain.function import FunctionSpec
from edge_agent.domain.rules.spec import Rule
from edge_agent.domain.rules.wire import parse_rule
from edge_agent.errors import Fault, Invalid
from edge_agent.manifests import documents
from edge_agent.manifests.documents import Document
from edge_agent.manifests.function import parse_function
from edge_agent.manifests.references import Key, wrong_references

UNNAMED = "unnamed"
"""Stands in while a manifest whose name is wrong is judged."""
PLAIN = FunctionSpec(name="")
_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Source:
    """One text: where it came from, and the folder its relative paths start from."""

    file: str
    text: str
    base_dir: Path


@dataclass(frozen=True, slots=True)
class Manifests:
    """What a set of manifests declares. `documents` has each as its YAML says, `files` where it stands."""

    rules: Mapping[str, Rule] = field(default_factory=dict)
    functions: Mapping[str, FunctionSpec] = field(default_factory=dict)
    documents: Mapping[Key, dict[str, Any]] = field(default_factory=dict)
    files: Mapping[Key, str] = field(default_factory=dict)


def load_folder(path: Path, *, defaults: FunctionSpec = PLAIN) -> Manifests:
    """Every `*.yaml` and `*.yml` directly in `path`. Raises `Invalid` with every fault of every file."""
    return judge(*sources(path), defaults=defaults)


def load_paths(paths: Iterable[Path], *, defaults: FunctionSpec = PLAIN, alone: bool = False) -> Manifests:
    """Files and folders together. `alone`: they may refer to functions declared elsewhere."""
    texts: list[Source] = []
    faults: list[Fault] = []
    for path in paths:
        found, wrong = sources(path)
        texts += found
        faults += wrong
    return judge(texts, faults, defaults=defaults, alone=alone)


def parse_text(
    text: str, filename: str, base_dir: Path, *, defaults: FunctionSpec = PLAIN, alone: bool = True
) -> Manifests:
    """One text. Raises `Invalid`. `alone`: it may refer to functions declared elsewhere."""
    return judge([Source(filename, text, base_dir)], [], defaults=defaults, alone=alone)


def sources(path: Path) -> tuple[list[Source], list[Fault]]:
    """The texts of a file, or of the manifests in a folder by name; and what could not be read."""
    texts: list[Source] = []
    faults: list[Fault] = []
    try:
        files = (
            sorted(f for f in path.iterdir() if f.suffix in _SUFFIXES and f.name[0] != ".") if path.is_dir() else [path]
        )
    except OSError as error:
        return [], [Fault(str(path), 1, 1, "folder", f"cannot be read: {error.strerror}", "check who may read it")]
    for file in files:
        try:
            if file.stat().st_size > documents.MAX_BYTES:
                faults.append(Fault(str(file), 1, 1, "file", f"is longer than {documents.MAX_BYTES} bytes", "split it"))
                continue
            texts.append(Source(str(file), file.read_text(encoding="utf-8"), file.parent.absolute()))
        except OSError as error:
            faults.append(Fault(str(file), 1, 1, "file", f"cannot be read: {error.strerror}", "check the path"))
        except UnicodeDecodeError as error:
            faults.append(Fault(str(file), 1, 1, "file", f"is not UTF-8 (byte {error.start})", "save it as UTF-8"))
    return texts, faults


def judge(
    texts: Sequence[Source], faults: Sequence[Fault], *, defaults: FunctionSpec = PLAIN, alone: bool = False
) -> Manifests:
    """All of them parsed and held against each other. Raises `Invalid`, `faults` (of reading) included."""
    rules: dict[str, Rule] = {}
    functions: dict[str, FunctionSpec] = {}
    first: dict[Key, Document] = {}
    read = [(source, document) for source in texts for document in documents.read(source.text, source.file)]
    for source, document in read:
        if not (document.kind and isinstance(document.spec, dict)):
            continue
        if not document.name:  # its spec is judged all the same: every fault at once
            parse(document, source.base_dir, defaults, {}, {})
            continue
        if other := first.get((document.kind, document.name)):
            line, _ = other.places.get((), (1, 1))
            message = f"{document.kind} {document.name} is declared in {other.file}:{line} already"
            document.fault(("metadata", "name"), message, "rename or remove one")
            continue
        first[document.kind, document.name] = document
        parse(document, source.base_dir, defaults, rules, functions)
    if not alone:
        for wrong in wrong_references({key: document.spec for key, document in first.items()}):
            first[wrong.key].fault(wrong.path, wrong.message, wrong.hint)
    everything = [*faults, *(fault for _, document in read for fault in document.faults)]
    if everything:
        raise Invalid(sorted(everything, key=lambda fault: (fault.file, fault.line, fault.column)))
    return Manifests(
        rules,
        functions,
        {key: document.manifest for key, document in first.items()},
        {key: document.file for key, document in first.items()},
    )


def parse(
    document: Document,
    base_dir: Path,
    defaults: FunctionSpec,
    rules: dict[str, Rule],
    functions: dict[str, FunctionSpec],
) -> None:
    """One document into the rule or function it declares, its faults noted with their places."""
    if document.kind == "Function":
        function, wrong = parse_function(document.name or UNNAMED, document.spec, base_dir, defaults)
        for path, message, hint in wrong:
            document.fault(("spec", *path), message, hint)
        if function:
            functions[document.name] = function
    else:
        rule, found = parse_rule(document.name or UNNAMED, document.spec)
        for fault in found:
            document.fault(("spec", *fault.path), fault.message, fault.hint)
        if rule:
            rules[document.name] = rule
