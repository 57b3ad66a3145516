"""What manifests say of each other: every function that is named must be declared, and results must not feed themselves.

In: the specs of a whole set, as they are written. Out: what is wrong, with its place. Pure, and fit for specs that are
wrong in themselves: what cannot be read names nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from edge_agent.domain.event import DEPTH_MOST
from edge_agent.wording import did_you_mean

Key = tuple[str, str]
"""(kind, name)."""
Path = tuple[str | int, ...]


class Wrong(NamedTuple):
    """One reference that does not hold. `path` begins with "spec"; `missing` is the function that is not there, or ""."""

    key: Key
    path: Path
    message: str
    hint: str
    missing: str = ""


def wrong_references(specs: Mapping[Key, Any]) -> Iterator[Wrong]:
    """All that is wrong between the manifests of one set."""
    names = {name for kind, name in specs if kind == "Function"}
    waits: dict[str, list[str]] = {}
    for key, spec in specs.items():
        for path, function in references(key[0], spec):
            if function not in names:
                hint = did_you_mean(function, names) if names else "no function is declared"
                yield Wrong(key, path, f"there is no function {function}", hint, function)
            elif key[0] == "Function":
                waits.setdefault(key[1], []).append(function)
    for name in waits:
        key = ("Function", name)
        if circle := _circle(name, waits):
            path = next(path for path, function in references("Function", specs[key]) if function == circle[1])
            yield Wrong(key, path, f"feeds itself: {' <- '.join(circle)}", "remove one resultOf of the circle")
        elif (steps := _steps(name, waits)) == DEPTH_MOST + 1:
            message = f"is step {steps} of a chain, and {DEPTH_MOST} are run"
            yield Wrong(key, ("spec", "triggers"), message, "do more in one function")


def references(kind: str, spec: Any) -> Iterator[tuple[Path, str]]:
    """(where it is written, the function named) for each name in `run` and `resultOf`."""
    if not isinstance(spec, Mapping):
        return
    field, items = ("run", spec.get("run")) if kind == "Rule" else ("triggers", spec.get("triggers"))
    for position, item in enumerate(items if isinstance(items, list) else []):
        path: Path = ("spec", field, position)
        if isinstance(item, str):
            yield path, item
        elif isinstance(item, dict) and isinstance(item.get("resultOf"), str):
            yield (*path, "resultOf"), item["resultOf"]


def _steps(name: str, waits: Mapping[str, Sequence[str]]) -> int:
    """How many results may lie before an event of `name`; counted no further than matters, for there may be circles."""
    steps, before = 0, {name}
    while steps <= DEPTH_MOST + 1 and (before := {each for one in before for each in waits.get(one, ())}):
        steps += 1
    return steps


def _circle(start: str, waits: Mapping[str, Sequence[str]]) -> list[str]:
    """The way from `start` back to it, or nothing."""
    ways = [[start]]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        for following in waits.get(way[-1], ()):
            if following == start:
                return [*way, start]
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return []
