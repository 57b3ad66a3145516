"""Tokens for machines, users and sign-in links for people: made and removed by an admin."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from edge_agent.web import parameters
from edge_agent.web.accounts import LINK_LIFETIME
from edge_agent.web.desk import accounts, now
from edge_agent.web.operation import Operation, route
from edge_agent.web.schemas import CURSOR, LIMIT, TEXT, listed, page, record, ref

blueprint = Blueprint("tokens", __name__)
Json = dict[str, Any]
_SCOPES = listed({"type": "string", "description": "ingest, ingest:DEVICE, read, operate or admin"})
_MOMENT = {"type": ["string", "integer"], "description": "90d, RFC 3339 or epoch ms; never when left out"}


@route(
    blueprint,
    "GET /api/v1/tokens",
    Operation("Every token, without its secret", "admin", (LIMIT, CURSOR), answers={200: page("Token")}, errors=(400,)),
)
def list_tokens() -> Json:
    return parameters.page_of(accounts().tokens())


@route(
    blueprint,
    "POST /api/v1/tokens",
    Operation(
        "Make a token; it is shown this once",
        scope="admin",
        body={"application/json": record("name scopes", name=TEXT, scopes=_SCOPES, expires_at=_MOMENT)},
        answers={201: ref("NewToken")},
        errors=(400, 409, 413, 415, 503),
    ),
)
def create_token() -> tuple[Json, int]:
    fields = parameters.Fields(parameters.body_object())
    name, scopes = fields.text("name", most=63), fields.texts("scopes")
    expires_at = fields.moment("expires_at", now(), default=0, ahead=True)
    fields.done()
    token = accounts().create_token(name, scopes, expires_at=expires_at)
    return {"name": name, "token": token, "scopes": scopes, "expires_at": expires_at or None}, 201


@route(
    blueprint,
    "DELETE /api/v1/tokens/<name>",
    Operation("Remove a token; it stops working at once", scope="admin", answers={204: None}, errors=(404, 503)),
)
def remove_token(name: str) -> Response:
    accounts().remove_token(name)
    return Response(status=204)


@route(
    blueprint,
    "POST /api/v1/signin-links",
    Operation(
        "Make a sign-in link: works once, for ten minutes",
        scope="admin",
        body={"application/json": record(scopes=_SCOPES, user=TEXT)},
        answers={201: ref("Link")},
        errors=(400, 413, 415),
    ),
)
def create_link() -> tuple[Json, int]:
    fields = parameters.Fields(parameters.body_object(optional=True))
    scopes, user = fields.texts("scopes", default=["admin"]), fields.text("user", default="owner", most=63)
    fields.done()
    link = accounts().create_link(scopes, user=user)
    return {"link": link, "path": f"/signin#{link}", "expires_at": now() + LINK_LIFETIME}, 201
