"""Functions and rules that live in a cluster, judged one by one beside the files, by the same code and in the same words.

Enters: what the files declare (judged already), each object of the cluster, and the version of each that served so far.
Leaves: the set to live by, and of each object whether it is in it and if not why. Pure.
Guarantee: an object with faults disturbs no other, and the version of it that served goes on. The order in which objects are
named makes no difference; of several that cannot be together those that served before stay.
A file knows functions of files only, for it holds before the cluster can be asked; an object may name both. The same name in
a file and in the cluster: the file's holds.
Not chosen: refusing the whole set as a folder is refused. Nobody sees what somebody else applies to a cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.domain.function import FunctionSpec
from edge_agent.domain.rules.spec import Rule
from edge_agent.domain.topics import is_name
from edge_agent.errors import Fault
from edge_agent.manifests.documents import API_VERSION, Document, dotted
from edge_agent.manifests.folder import PLAIN, Manifests, parse
from edge_agent.manifests.references import Key, Wrong, wrong_references

MOST, MOST_BYTES = 1000, 64 * 1024
"""Objects of a cluster that are looked at, the oldest first; and the size of one's spec as JSON."""
CLUSTER = "cluster"
"""Stands in `Manifests.files` where a file's path would."""
INVALID, IN_FILE, REFERENCE, TOO_MANY = "Invalid", "DeclaredInFile", "ReferenceInvalid", "TooMany"


class Resource(msgspec.Struct, frozen=True):
    """One version of one object. `generation` counts the changes of its spec; `created` is RFC 3339."""

    kind: str
    name: str
    uid: str
    generation: int
    spec: Any
    created: str = ""

    @property
    def key(self) -> Key:
        return self.kind, self.name

    @property
    def manifest(self) -> dict[str, Any]:
        """As a file would have it; labels and annotations are the cluster's own."""
        return {"apiVersion": API_VERSION, "kind": self.kind, "metadata": {"name": self.name}, "spec": self.spec}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Accepted as it is, or not: `reason` in CamelCase, `faults` all of them."""

    reason: str = ""
    faults: tuple[Fault, ...] = ()

    def __str__(self) -> str:
        """For a condition: every fault, what to do in parentheses."""
        return "; ".join(f"{f.field}: {f.message}" + (f" ({f.hint})" if f.hint else "") for f in self.faults)


@dataclass(frozen=True, slots=True)
class Joined:
    """`manifests` is files and cluster together, `serving` the version of each object that is in it."""

    manifests: Manifests = field(default_factory=Manifests)
    serving: Mapping[Key, Resource] = field(default_factory=dict)
    verdicts: Mapping[Key, Verdict] = field(default_factory=dict)


Allow = Callable[[FunctionSpec], Sequence[tuple[tuple[str, ...], str, str]]]
"""What this machine does not run, as (path in the spec, message, hint)."""


def everything(_: FunctionSpec) -> Sequence[tuple[tuple[str, ...], str, str]]:
    return ()


def join(
    files: Manifests,
    resources: Iterable[Resource],
    served: Mapping[Key, Resource],
    *,
    defaults: FunctionSpec = PLAIN,
    allow: Allow = everything,
) -> Joined:
    """Judge `resources` beside `files`; `served` are the versions that hold so far (of objects gone, they are forgotten)."""
    now = {resource.key: resource for resource in resources}
    verdicts = {key: _in_file(files.files.get(key, "a file")) for key in now if key in files.documents}
    judging = _Judging(files, defaults, allow)
    base: dict[Key, Resource] = {}
    waiting: dict[Key, Resource] = {}
    for resource in sorted(now.values(), key=lambda each: (each.created, each.name))[MOST:]:
        verdicts[resource.key] = Verdict(TOO_MANY, (_too_many(resource),))
    for key, resource in sorted(now.items(), key=lambda item: (item[0][0], item[1].created, item[0][1])):
        if key in verdicts:
            continue
        before = served.get(key)
        if before is not None and before.uid == resource.uid and not judging.faults(before):
            base[key] = before
        if faults := judging.faults(resource):
            verdicts[key] = Verdict(INVALID, faults)
        elif base.get(key) != resource:
            waiting[key] = resource
    taken, left = judging.fit(base, waiting)
    amiss = judging.wrong(taken)
    for key in {wrong.key for wrong in amiss} & now.keys() - verdicts.keys():  # it served, and what it names is gone
        verdicts[key] = _lacking([wrong for wrong in amiss if wrong.key == key], now)
    together = judging.new_wrong(taken, left)
    for key, resource in left.items():
        mine = [wrong for wrong in together if wrong.key == key]
        verdicts[key] = _lacking(mine or judging.new_wrong(taken, {key: resource}), now)
    return Joined(judging.manifests(taken), taken, {key: verdicts.get(key, Verdict()) for key in now})


class _Judging:
    """What each version is by itself, looked at once; and what several are together."""

    def __init__(self, files: Manifests, defaults: FunctionSpec, allow: Allow) -> None:
        self._files = files
        self._defaults = defaults
        self._allow = allow
        self._seen: dict[tuple[Key, str, int], tuple[Rule | FunctionSpec | None, tuple[Fault, ...]]] = {}

    def faults(self, resource: Resource) -> tuple[Fault, ...]:
        return self._parsed(resource)[1]

    def _parsed(self, resource: Resource) -> tuple[Rule | FunctionSpec | None, tuple[Fault, ...]]:
        which = (resource.key, resource.uid, resource.generation)
        if which not in self._seen:
            self._seen[which] = _parse(resource, self._defaults, self._allow)
        return self._seen[which]

    def wrong(self, resources: Mapping[Key, Resource]) -> list[Wrong]:
        """What is wrong between these and the files."""
        specs: dict[Key, Any] = {key: document["spec"] for key, document in self._files.documents.items()}
        specs |= {key: resource.spec for key, resource in resources.items()}
        return list(wrong_references(specs))

    def new_wrong(self, base: Mapping[Key, Resource], more: Mapping[Key, Resource]) -> list[Wrong]:
        """What is wrong with `more` in place that was not wrong before."""
        known = set(self.wrong(base))
        return [wrong for wrong in self.wrong({**base, **more}) if wrong not in known]

    def fit(
        self, base: Mapping[Key, Resource], waiting: Mapping[Key, Resource]
    ) -> tuple[dict[Key, Resource], dict[Key, Resource]]:
        """As many of `waiting` in their places as go together; and those left. One by one only when all at once fails."""
        taken, left = dict(base), dict(waiting)
        if not self.new_wrong(taken, left):
            return {**taken, **left}, {}
        moved = True
        while moved and left:
            moved = False
            for key, resource in list(left.items()):
                if not self.new_wrong(taken, {key: resource}):
                    taken[key] = left.pop(key)
                    moved = True
        return taken, left

    def manifests(self, resources: Mapping[Key, Resource]) -> Manifests:
        """The files' and these."""
        rules, functions = dict(self._files.rules), dict(self._files.functions)
        for resource in resources.values():
            parsed = self._parsed(resource)[0]
            if isinstance(parsed, Rule):
                rules[resource.name] = parsed
            elif isinstance(parsed, FunctionSpec):
                functions[resource.name] = parsed
        documents = {key: resource.manifest for key, resource in resources.items()}
        where = dict.fromkeys(resources, CLUSTER)
        return Manifests(rules, functions, {**self._files.documents, **documents}, {**self._files.files, **where})


def _parse(
    resource: Resource, defaults: FunctionSpec, allow: Allow
) -> tuple[Rule | FunctionSpec | None, tuple[Fault, ...]]:
    place = f"{resource.kind.lower()}/{resource.name}"
    document = Document(place, resource.kind, resource.name, resource.spec, places={(): (0, 0)})
    if not is_name(resource.name):
        document.fault(("metadata", "name"), f"{resource.name!r} is no name", "1 to 63 of a-z, 0-9 and -")
        document.name = ""
    if not isinstance(resource.spec, dict):
        document.fault(("spec",), "is missing" if resource.spec is None else "must be a table of fields")
        return None, tuple(document.faults)
    if len(msgspec.json.encode(resource.spec)) > MOST_BYTES:
        document.fault(("spec",), f"is longer than {MOST_BYTES} bytes", "put data into the image, or into a secret")
        return None, tuple(document.faults)
    rules: dict[str, Rule] = {}
    functions: dict[str, FunctionSpec] = {}
    parse(document, Path("/"), defaults, rules, functions)
    for function in functions.values():
        for path, message, hint in allow(function):
            document.fault(("spec", *path), message, hint)
    parsed = rules.get(resource.name) or functions.get(resource.name)
    return parsed, tuple(document.faults)


def _too_many(resource: Resource) -> Fault:
    message = f"is one more than the {MOST} functions and rules an agent looks at"
    return Fault("/".join(resource.key), 0, 0, "metadata.name", message, "delete what is not used")


def _in_file(file: str) -> Verdict:
    message = f"is declared in {file} too, and what a file says holds"
    return Verdict(IN_FILE, (Fault("", 0, 0, "metadata.name", message, "remove it there, or delete this object"),))


def _lacking(wrong: Sequence[Wrong], there: Mapping[Key, Resource]) -> Verdict:
    faults = []
    for each in wrong:
        hint = each.hint
        if ("Function", each.missing) in there:
            hint = f"it is in the cluster and not accepted: kubectl describe efn {each.missing} says why"
        faults.append(Fault("/".join(each.key), 0, 0, dotted(each.path), each.message, hint))
    return Verdict(REFERENCE, tuple(faults))
