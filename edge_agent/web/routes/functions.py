"""Functions: their manifests, and calling them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec
from flask import Blueprint, Response, request

from edge_agent.domain.function import MAX_PAYLOAD
from edge_agent.web import manifests, parameters
from edge_agent.web.desk import appliance, caller
from edge_agent.web.manifests import CHANGE, DELETE, READ
from edge_agent.web.masking import for_eyes
from edge_agent.web.operation import Operation, route
from edge_agent.web.problems import Problem
from edge_agent.web.schemas import CURSOR, LIMIT, TEXT, page, ref

blueprint = Blueprint("functions", __name__)
Json = dict[str, Any]
PATIENCE = 60.0
"""Seconds a synchronous call is waited for; the function's own timeout is usually shorter."""
_PREFER = {"name": "Prefer", "in": "header", "schema": TEXT, "description": "respond-async: 202 at once (RFC 7240)"}


@route(
    blueprint,
    "GET /api/v1/functions",
    Operation("Every function", query=(LIMIT, CURSOR), answers={200: page("Function")}, errors=(400,)),
)
def list_functions() -> Json:
    found = sorted(appliance().functions(), key=lambda function: str(function["name"]))
    return parameters.page_of([for_eyes(function, caller()) for function in found])


@route(blueprint, "GET /api/v1/functions/<function>", READ("One function", "Function"))
def show_function(function: str) -> Response:
    return manifests.show(manifests.FUNCTION, function)


@route(blueprint, "PUT /api/v1/functions/<function>", CHANGE("Create or change a function", "Function"))
def put_function(function: str) -> Response:
    return manifests.put(manifests.FUNCTION, function)


@route(blueprint, "DELETE /api/v1/functions/<function>", DELETE("Remove a function"))
def delete_function(function: str) -> Response:
    return manifests.delete(manifests.FUNCTION, function)


@route(
    blueprint,
    "POST /api/v1/functions/<function>/invocations",
    Operation(
        "Call a function: its answer, or with Prefer: respond-async where to look for it",
        scope="operate",
        headers=(_PREFER,),
        body={"application/json": {}},
        answers={200: {"*/*": {}}, 202: ref("Invocation")},
        errors=(400, 404, 413, 502, 503, 504),
    ),
)
def invoke(function: str) -> Response:
    name = parameters.known_name(function, "function")
    body = parameters.body_bytes(MAX_PAYLOAD)
    kind = request.content_type or "application/json"
    wanted = [part.strip().lower() for part in request.headers.get("Prefer", "").replace(";", ",").split(",")]
    attributes = {key[3:].lower(): value for key, value in request.headers if key.lower().startswith("ce-")}
    if "respond-async" in wanted:
        accepted = appliance().invoke(name, body, kind, wait=None, attributes=attributes)
        response = _json(accepted, 202)
        response.headers["Location"] = f"/api/v1/invocations/{quote(str(accepted['id']), safe='/')}"
        response.headers["Preference-Applied"] = "respond-async"
        return response
    ended = appliance().invoke(name, body, kind, wait=PATIENCE, attributes=attributes)
    return _answer(ended)


def _answer(ended: Json) -> Response:
    """What the function answered, or why it did not."""
    identifier = quote(str(ended.get("id", "")), safe="/")
    if ended.get("state") == "answered":
        kind = str(ended.get("content_type") or "application/json")
        response = Response(str(ended.get("response") or ""), content_type=kind)
        # A function's answer is shown to whoever asked, never run as a page of ours.
        response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
        response.headers["Edge-Invocation"] = identifier
        return response
    failure = str(ended.get("kind") or "")
    reason = str(ended.get("reason") or "the function did not answer")
    where = f"; see /api/v1/invocations/{identifier}" if identifier else ""
    if ended.get("state") != "dead":
        raise Problem(504, f"the function has not answered yet{where}")
    raise Problem(504 if failure in ("timeout", "expired") else 502, f"{reason}{where}")


def _json(body: Json, status: int) -> Response:
    return Response(msgspec.json.encode(body), status, content_type="application/json")
