"""Users: people who sign in with a name and a password."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from edge_agent.web import parameters
from edge_agent.web.desk import accounts
from edge_agent.web.operation import Operation, route
from edge_agent.web.schemas import CURSOR, LIMIT, TEXT, listed, page, record, ref

blueprint = Blueprint("users", __name__)
Json = dict[str, Any]


@route(
    blueprint,
    "GET /api/v1/users",
    Operation("Every user", "admin", (LIMIT, CURSOR), answers={200: page("User")}, errors=(400,)),
)
def list_users() -> Json:
    return parameters.page_of(accounts().users())


@route(
    blueprint,
    "POST /api/v1/users",
    Operation(
        "Add a user",
        scope="admin",
        body={"application/json": record("name password", name=TEXT, password=TEXT, scopes=listed(TEXT))},
        answers={201: ref("User")},
        errors=(400, 409, 413, 415, 503),
    ),
)
def add_user() -> tuple[Json, int]:
    fields = parameters.Fields(parameters.body_object())
    name, password = fields.text("name", most=63), fields.text("password")
    scopes = fields.texts("scopes", default=["read", "operate"])
    fields.done()
    accounts().add_user(name, password, scopes)
    return {"name": name, "scopes": scopes}, 201


@route(
    blueprint,
    "PUT /api/v1/users/<name>/password",
    Operation(
        "Set a password; signs the user out everywhere",
        scope="admin",
        body={"application/json": record("password", password=TEXT)},
        answers={204: None},
        errors=(400, 404, 413, 415, 503),
    ),
)
def set_password(name: str) -> Response:
    fields = parameters.Fields(parameters.body_object())
    password = fields.text("password")
    fields.done()
    accounts().set_password(name, password)
    return Response(status=204)


@route(
    blueprint,
    "DELETE /api/v1/users/<name>",
    Operation("Remove a user and sign them out", scope="admin", answers={204: None}, errors=(404, 503)),
)
def remove_user(name: str) -> Response:
    accounts().remove_user(name)
    return Response(status=204)
