"""Reading and changing a manifest over HTTP, the same for rules and functions.

In: a kind and a name. Out: the manifest with its ETag. Guarantee: nobody overwrites a change they have not seen: a change of
something that exists needs `If-Match` (428 without, 412 when it has changed).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from flask import Response

from edge_agent.errors import NotFound
from edge_agent.web import parameters
from edge_agent.web.appliance import Appliance
from edge_agent.web.desk import appliance, caller
from edge_agent.web.masking import for_eyes
from edge_agent.web.operation import Operation
from edge_agent.web.schemas import DRY_RUN, IF_MATCH, ref

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """`name` as the manifest spells it, `noun` as people do."""

    name: str
    noun: str
    all: Callable[[Appliance], list[Json]]


RULE = Kind("Rule", "rule", lambda appliance: appliance.rules())
FUNCTION = Kind("Function", "function", lambda appliance: appliance.functions())


def READ(summary: str, schema: str) -> Operation:  # noqa: N802 reads as the constant it stands for
    return Operation(summary, answers={200: ref(schema)}, errors=(404,))


def CHANGE(summary: str, schema: str) -> Operation:  # noqa: N802
    return Operation(
        summary,
        scope="admin",
        query=(DRY_RUN,),
        headers=(IF_MATCH,),
        body={"application/json": ref("Manifest")},
        answers={200: ref(schema), 201: ref(schema)},
        errors=(400, 412, 413, 415, 422, 428, 503),
    )


def DELETE(summary: str) -> Operation:  # noqa: N802
    return Operation(
        summary,
        scope="admin",
        query=(DRY_RUN,),
        headers=(IF_MATCH,),
        answers={204: None},
        errors=(400, 404, 409, 412, 422, 428, 503),
    )


def show(kind: Kind, name: str) -> Response:
    found = _find(kind, name)
    if found is None:
        raise NotFound(f"there is no {kind.noun} {name!r}")
    return _respond(for_eyes(found, caller()), 200)


def put(kind: Kind, name: str) -> Response:
    parameters.new_name(name, "metadata.name")
    manifest = parameters.body_object()
    found = _find(kind, name)
    version = parameters.condition(found is not None)
    dry_run = parameters.flag("dry_run")
    stored = appliance().put_manifest(kind.name, name, manifest, if_match=version, dry_run=dry_run)
    return _respond(stored, 200 if found is not None or dry_run else 201)


def delete(kind: Kind, name: str) -> Response:
    found = _find(kind, parameters.known_name(name, kind.noun))
    if found is None:
        raise NotFound(f"there is no {kind.noun} {name!r}")
    version = parameters.condition(True)
    appliance().delete_manifest(kind.name, name, if_match=version, dry_run=parameters.flag("dry_run"))
    return Response(status=204)


def _find(kind: Kind, name: str) -> Json | None:
    return next((found for found in kind.all(appliance()) if found["name"] == name), None)


def _respond(found: Json, status: int) -> Response:
    response = Response(msgspec.json.encode(found), status, content_type="application/json")
    if version := found.get("version"):
        response.headers["ETag"] = parameters.etag(str(version))
    return response
