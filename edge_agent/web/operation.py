"""A route and what the world is told of it, declared in one place.

In: a decorator's arguments. Out: a Flask route, its scope (enforced by `guard`) and its entry in the OpenAPI document
(`openapi`). Not chosen: a table beside the routes; the two would differ within a month.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flask import Blueprint, current_app

View = TypeVar("View", bound=Callable[..., Any])
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """`scope` "" needs nobody to sign in; `always` also skips host and rate checks. `answers` maps a status to a schema, a
    sentence, or None (no body); `errors` are the problems it can end in beside those every operation can."""

    summary: str
    scope: str = "read"
    query: tuple[Json, ...] = ()
    headers: tuple[Json, ...] = ()
    body: Mapping[str, Json] = field(default_factory=dict)
    answers: Mapping[int, Mapping[str, Json] | None] = field(default_factory=dict)
    errors: tuple[int, ...] = ()
    always: bool = False


def route(blueprint: Blueprint, rule: str, operation: Operation) -> Callable[[View], View]:
    """Serve `rule` ("GET /api/v1/devices") with the decorated function."""
    method, path = rule.split(" ", 1)

    def register(view: View) -> View:
        known: dict[str, Operation] = blueprint.__dict__.setdefault("edge_operations", {})
        known[view.__name__] = operation
        blueprint.add_url_rule(path, view.__name__, view, methods=[method], provide_automatic_options=False)
        return view

    return register


def operations(blueprint: Blueprint) -> dict[str, Operation]:
    """Endpoint name to operation."""
    return {f"{blueprint.name}.{name}": found for name, found in blueprint.__dict__.get("edge_operations", {}).items()}


def operation_of(endpoint: str | None) -> Operation | None:
    found: Operation | None = current_app.extensions["edge.operations"].get(endpoint or "")
    return found
