"""Versions of functions: rolled out while events flow, listed, rolled back to; and how many workers wait."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from edge_agent.errors import Refused
from edge_agent.web import parameters
from edge_agent.web.desk import appliance, caller
from edge_agent.web.operation import Operation, route
from edge_agent.web.schemas import ANY, COUNT, CURSOR, DRY_RUN, LIMIT, NAME, TEXT, page, record, ref

blueprint = Blueprint("deployments", __name__)
Json = dict[str, Any]
_FOLDER = {**TEXT, "description": "a folder on the appliance's machine; taken over its local socket only"}
_VERSION = {**TEXT, "description": "one that is kept, or `previous`"}
MOST_IDLE = 1000


@route(
    blueprint,
    "POST /api/v1/functions/<function>/deployments",
    Operation(
        "Try a new version beside the old one; it takes over once a worker of it has asked for an event",
        scope="admin",
        query=(DRY_RUN,),
        body={"application/json": record(folder=_FOLDER, manifest=ref("Manifest"), version=_VERSION)},
        answers={202: record("function version state", function=NAME, version=TEXT, state=TEXT)},
        errors=(400, 404, 409, 413, 415, 422, 503),
    ),
)
def deploy(function: str) -> tuple[Json, int]:
    name = parameters.new_name(function, "metadata.name")
    found = parameters.body_object()
    manifest = found.pop("manifest", None)
    fields = parameters.Fields(found)
    folder, version = fields.text("folder", default=""), fields.text("version", default="", most=64)
    fields.done()
    if manifest is not None and not (isinstance(manifest, dict) and isinstance(manifest.get("spec"), dict)):
        raise parameters.fault("manifest", "is no manifest: it has no spec", file="body")
    if sum((bool(folder), manifest is not None, bool(version))) != 1:
        raise parameters.fault("", "say one of folder, manifest, version", file="body")
    if folder and caller().kind != "socket":
        raise Refused(
            "a folder holds commands for this host, and that is taken over its local socket only: run edgectl functions deploy "
            "on the appliance itself, or deploy an image"
        )
    dry_run = parameters.flag("dry_run")
    return appliance().deploy(name, folder=folder, manifest=manifest, version=version, dry_run=dry_run), 202


@route(
    blueprint,
    "GET /api/v1/functions/<function>/versions",
    Operation(
        "Versions that were deployed, the newest first, and how the newest deployment went",
        query=(LIMIT, CURSOR),
        answers={200: page("Version")},
        errors=(400, 404),
    ),
)
def versions(function: str) -> Json:
    items = appliance().versions(parameters.known_name(function, "function"))
    size, after = parameters.limit(), parameters.word("cursor")
    start = next((place + 1 for place, item in enumerate(items) if item["version"] == after), 0) if after else 0
    more = items[start + size - 1]["version"] if len(items) > start + size else ""
    return {"items": items[start : start + size], "cursor": more}


@route(
    blueprint,
    "PUT /api/v1/functions/<function>/scale",
    Operation(
        "How many workers wait for events, whatever the manifest says; null: as it says",
        scope="operate",
        body={"application/json": record("min_idle", min_idle={"type": ["integer", "null"], "minimum": 0})},
        answers={200: record("function workers", function=NAME, workers=ANY, queue=COUNT)},
        errors=(400, 404, 413, 415, 503),
    ),
)
def scale(function: str) -> Json:
    name = parameters.known_name(function, "function")
    found = parameters.body_object()
    wanted = found.pop("min_idle", "")
    parameters.Fields(found).done()
    if wanted is not None and not (type(wanted) is int and 0 <= wanted <= MOST_IDLE):
        raise parameters.fault("min_idle", f"must be a number from 0 to {MOST_IDLE}, or null", file="body")
    return appliance().scale(name, wanted)
