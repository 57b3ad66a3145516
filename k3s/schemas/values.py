"""Words for schemas: what a value may be, in OpenAPI and CEL as the API server takes them (structural, every size bounded)."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from typing import Any

from edge_agent.domain.durations import LONGEST

NAME = r"^[a-z0-9-]{1,63}$"
FAR = 2**53
Schema = dict[str, Any]


def text(most: int = 1024, **more: Any) -> Schema:
    return {"type": "string", "maxLength": most, **more}


def name(**more: Any) -> Schema:
    return text(63, pattern=NAME, **more)


def whole(least: int, most: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


def number(**more: Any) -> Schema:
    return {"type": "number", "minimum": -FAR, "maximum": FAR, **more}


def positive() -> Schema:
    return {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": FAR}


def one_of(words: Collection[str], **more: Any) -> Schema:
    return {"type": "string", "enum": list(words), **more}


def listed(items: Schema, most: int, **more: Any) -> Schema:
    return {"type": "array", "maxItems": most, "x-kubernetes-list-type": "atomic", "items": items, **more}


def table(properties: Mapping[str, Schema], **more: Any) -> Schema:
    return {"type": "object", "properties": dict(properties), **more}


def single(**more: Any) -> Schema:
    """Text, a number, true or false: no type that a structural schema can name, so lists and objects are ruled out one by one.
    CEL does not see it."""
    none = {"minItems": 1, "maxItems": 0, "minProperties": 1, "maxProperties": 0}
    return {"x-kubernetes-preserve-unknown-fields": True, **none, **more}


def duration(least: str = "", most: float = LONGEST) -> Schema:
    """`least`: anything for "longer than nothing". `most` in seconds."""
    parts = "".join(rf"([0-9]+(\.[0-9]+)?{unit})?" for unit in ("d", "h", "m", "s", "ms"))
    checks = [rule(lasts("self"), "must be longer than 0s")] if least else []
    checks.append(rule(f"{milliseconds('self')} <= {most * 1000:.1f}", f"must be at most {most:.0f} seconds"))
    return text(64, minLength=1, pattern=f"^{parts}$", **{"x-kubernetes-validations": checks})


def milliseconds(of: str) -> str:
    """Of text such as `1d12h`, in CEL, whose own durations know no days."""
    days = f"({of}.contains('d') ? double({of}.substring(0, {of}.indexOf('d'))) * 86400000.0 : 0.0)"
    rest = f"({of}.endsWith('d') ? 0.0 : double(duration({of}.substring({of}.indexOf('d') + 1)).getMilliseconds()))"
    return f"{days} + {rest}"


def lasts(of: str) -> str:
    """Whether it is more than nothing: the agent rounds to milliseconds."""
    days = f"{of}.contains('d') && double({of}.substring(0, {of}.indexOf('d'))) * 86400000.0 >= 0.5"
    return f"{days} || !{of}.endsWith('d') && duration({of}.substring({of}.indexOf('d') + 1)) >= duration('500us')"


def rule(expression: str, message: str, at: str = "") -> Schema:
    found = {"rule": expression, "message": message}
    return found | {"fieldPath": at} if at else found


def judged(schema: Schema, *rules: Schema) -> Schema:
    return {**schema, "x-kubernetes-validations": [*schema.get("x-kubernetes-validations", []), *rules]}


def told(description: str, schema: Schema) -> Schema:
    return {"description": description, **schema}


def same(what: str, here: Collection[str], agent: Collection[str]) -> None:
    if set(here) != set(agent):
        sys.exit(f"k3s/crds.py and the agent do not know the same fields of {what}: {sorted(set(here) ^ set(agent))}")
