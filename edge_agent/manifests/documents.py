"""YAML text in, documents out: plain values, each with its line and column. Nothing here knows rules or functions.

Read as YAML 1.2's core schema would: `no`, `on` and `12:30` are text, as everybody who wrote them meant. Bounded in
size, depth and alias expansion, for a manifest may come over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from edge_agent.domain.topics import is_name
from edge_agent.errors import Fault
from edge_agent.manifests.yaml12 import Loader
from edge_agent.wording import did_you_mean

API_VERSION = "edge.internal/v1alpha1"
KINDS = ("Function", "Rule")
MAX_BYTES = 1024 * 1024
MAX_DEPTH = 20
MAX_NODES = 20_000
"""Values in one file, aliases counted as often as they are used: "a billion laughs" ends here."""

Path = tuple[str | int, ...]
_TOP = ("apiVersion", "kind", "metadata", "spec", "status")
_METADATA = ("name", "labels", "annotations")
_SERVER_FIELDS = (
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "finalizers",
)
"""What `kubectl get -o yaml` adds; ignored, so that a manifest can go back and forth."""


@dataclass(slots=True)
class Document:
    """One manifest of one file. `start` and `end` are the line numbers (from 0) its text covers."""

    file: str
    kind: str = ""
    name: str = ""
    spec: Any = None
    manifest: dict[str, Any] = field(default_factory=dict)
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    start: int = 0
    end: int = 0

    def fault(self, path: Path, message: str, hint: str = "") -> None:
        """Note a fault at `path`, or at the nearest thing around it that is written."""
        at = path
        while at and at not in self.places:
            at = at[:-1]
        line, column = self.places.get(at, (1, 1))
        self.faults.append(Fault(self.file, line, column, dotted(path) or "document", message, hint))


def dotted(path: Path) -> str:
    """`spec.triggers[0].cron`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def read(text: str, file: str) -> list[Document]:
    """Every document of `text`; empty ones are left out. Nothing is raised: look at each document's faults."""
    whole = Document(file)
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        whole.fault((), f"is longer than {MAX_BYTES} bytes", "split it into several files")
        return [whole]
    documents: list[Document] = []
    budget = _Budget()
    try:
        loader = Loader(text)
        try:
            while loader.check_node():
                node = loader.get_node()
                assert node is not None  # check_node said so
                document = Document(file, start=node.start_mark.line, end=node.end_mark.line)
                documents.append(document)
                value = _plain(node, (), document, budget)
                if value is not None:
                    _identify(document, value)
                else:
                    documents.pop()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        context = f" {error.context}" if error.context else ""
        hint = "indent with spaces, never tabs" if "\\t" in str(error.problem) else ""
        whole.faults.append(Fault(file, line, column, "YAML", f"{error.problem}{context}", hint))
        documents.append(whole)
    except yaml.YAMLError as error:
        whole.fault((), f"is not YAML: {str(error).splitlines()[0]}", "remove control characters; save it as UTF-8")
        documents.append(whole)
    except (_TooMuch, RecursionError):
        whole.fault((), f"is nested deeper than {MAX_DEPTH} or holds more than {MAX_NODES} values", "make it simpler")
        documents.append(whole)
    return documents


class _TooMuch(Exception):
    pass


class _Budget:
    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_NODES

    def spend(self, depth: int) -> None:
        self.left -= 1
        if self.left < 0 or depth > MAX_DEPTH:
            raise _TooMuch


def _plain(node: Node, path: Path, document: Document, budget: _Budget) -> Any:
    budget.spend(len(path))
    document.places.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
    if isinstance(node, MappingNode):
        return dict(_pairs(node, path, document, budget))
    if isinstance(node, SequenceNode):
        return [_plain(item, (*path, i), document, budget) for i, item in enumerate(node.value)]
    return _scalar(node, path, document)


def _pairs(node: MappingNode, path: Path, document: Document, budget: _Budget) -> Iterator[tuple[str, Any]]:
    seen: set[str] = set()
    for key_node, value_node in node.value:
        place = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
        if not isinstance(key_node, ScalarNode):
            document.faults.append(Fault(document.file, *place, dotted(path), "has a key that is not text", "quote it"))
            continue
        key = str(key_node.value)
        if key == "<<":
            document.faults.append(
                Fault(
                    document.file, *place, dotted((*path, key)), "merge keys are not YAML 1.2", "write the fields out"
                )
            )
        elif key in seen:
            document.faults.append(
                Fault(
                    document.file, *place, dotted((*path, key)), "is written twice", "keep one; the other would be lost"
                )
            )
        else:
            seen.add(key)
            document.places[(*path, key)] = place
            yield key, _plain(value_node, (*path, key), document, budget)


def _scalar(node: Node, path: Path, document: Document) -> Any:
    tag, text = node.tag.rpartition(":")[2], str(node.value)
    match tag:
        case "str":
            return text
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text, 0) if text[:2] in ("0x", "0o") else int(text) if len(text) < 400 else text
        case "float":
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        case _:
            document.fault(path, f"has the tag {node.tag}, which is not allowed here", "remove the !tag")
            return text


def _identify(document: Document, value: Any) -> None:
    """Check what every manifest has: apiVersion, kind, metadata.name, spec."""
    if not isinstance(value, dict):
        document.fault((), "is no manifest", f"start it with apiVersion: {API_VERSION}")
        return
    document.manifest = value
    for key in value:
        if key not in _TOP:
            document.fault((key,), "is not known", did_you_mean(key, _TOP))
    version, kind, metadata = value.get("apiVersion"), value.get("kind"), value.get("metadata")
    if version != API_VERSION:
        message = "is missing" if version is None else f"{version!r} is not known"
        document.fault(("apiVersion",), message, f"write apiVersion: {API_VERSION}")
    if kind not in KINDS:
        message = "is missing" if kind is None else f"{kind!r} is not known"
        document.fault(("kind",), message, did_you_mean(str(kind), KINDS))
    else:
        document.kind = kind
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if isinstance(metadata, dict):
        for key in metadata:
            if key not in _METADATA + _SERVER_FIELDS:
                document.fault(("metadata", key), "is not known", did_you_mean(key, _METADATA))
    if not isinstance(name, str) or not is_name(name):
        message = "is missing" if name is None else f"{name!r} is no name"
        document.fault(("metadata", "name"), message, "1 to 63 of a-z, 0-9 and -")
    else:
        document.name = name
    document.spec = value.get("spec")
    if not isinstance(document.spec, dict):
        document.fault(("spec",), "is missing" if document.spec is None else "must be a table of fields")
