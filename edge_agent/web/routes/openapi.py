"""The OpenAPI 3.1 document, made from what each route declares of itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Blueprint, current_app
from werkzeug.routing import Rule

from edge_agent.web.desk import appliance
from edge_agent.web.operation import Operation, route
from edge_agent.web.schemas import ANY, SCHEMAS, TEXT, ref

blueprint = Blueprint("openapi", __name__)
Json = dict[str, Any]
PATH_FORMATS = {
    "device": "a device's name: a-z, 0-9 and -",
    "id": "an id; its slashes may be written as %2F",
}


@route(blueprint, "GET /api/v1/openapi.json", Operation("This document", answers={200: ANY}))
def document() -> Json:
    known: Mapping[str, Operation] = current_app.extensions["edge.operations"]
    paths: dict[str, Json] = {}
    for rule in current_app.url_map.iter_rules():
        if operation := known.get(rule.endpoint):
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                paths.setdefault(path, {})[method.lower()] = _operation(rule, operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Edge appliance",
            "version": appliance().version,
            "description": "Errors are application/problem+json (RFC 9457). Times are epoch milliseconds.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {"session": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "edge_session"},
            },
        },
    }


def _operation(rule: Rule, operation: Operation) -> Json:
    path = [
        {"name": name, "in": "path", "required": True, "schema": TEXT, "description": PATH_FORMATS.get(name, "")}
        for name in sorted(rule.arguments)
    ]
    entry: Json = {
        "operationId": rule.endpoint.replace(".", "_"),
        "summary": operation.summary,
        "tags": [rule.endpoint.partition(".")[0]],
        "responses": _responses(operation),
    }
    if parameters := [*path, *operation.query, *operation.headers]:
        entry["parameters"] = parameters
    if operation.body:
        entry["requestBody"] = {"content": {kind: {"schema": schema} for kind, schema in operation.body.items()}}
    if operation.scope:
        entry["description"] = f"Needs the scope `{operation.scope}`."
    else:
        entry["security"] = []
    return entry


def _responses(operation: Operation) -> Json:
    responses: Json = {}
    for status, answer in operation.answers.items():
        responses[str(status)] = {"description": HTTPStatus(status).phrase, **_content(answer)}
    always: tuple[int, ...] = () if operation.always else (421, 429)
    signed: tuple[int, ...] = (401, 403) if operation.scope else ()
    for status in sorted({*operation.errors, *always, *signed}):
        content = {"application/problem+json": {"schema": ref("Problem")}}
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": content}
    return responses


def _content(answer: Mapping[str, Any] | None) -> Json:
    """A schema alone is JSON's; a mapping of media types is itself."""
    if answer is None:
        return {}
    if all("/" in key for key in answer):
        return {"content": {kind: {"schema": schema} for kind, schema in answer.items()}}
    return {"content": {"application/json": {"schema": answer}}}
