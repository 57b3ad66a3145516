"""The way in for people: a link that works once, or a name and a password; and the way out.

In: `{"link": ...}` or `{"user": ..., "password": ...}`. Out: a session cookie. The link's token travels in the address's
fragment, which browsers never send, and then in this POST's body: no log, proxy or Referer ever has it.
"""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Blueprint, Response, current_app, request

from edge_agent.web import parameters
from edge_agent.web.accounts import SESSION_LIFETIME
from edge_agent.web.desk import accounts, caller
from edge_agent.web.guard import Guard, check_origin, cookie_name
from edge_agent.web.operation import Operation, route
from edge_agent.web.problems import Problem
from edge_agent.web.schemas import TEXT, record, ref

blueprint = Blueprint("signin", __name__)
Json = dict[str, Any]


@route(
    blueprint,
    "POST /signin",
    Operation(
        "Sign in with a link or a password: sets the session's cookie",
        scope="",
        body={"application/json": record(link=TEXT, user=TEXT, password=TEXT)},
        answers={200: ref("Session")},
        errors=(400, 401, 403, 413, 415, 503),
    ),
)
def sign_in() -> Response:
    check_origin()
    guard: Guard = current_app.extensions["edge.guard"]
    guard.check_failures()
    fields = parameters.Fields(parameters.body_object(most=4096))
    link = fields.text("link", default="")
    user, password = fields.text("user", default=""), fields.text("password", default="")
    fields.done()
    if bool(link) == bool(user):
        raise parameters.fault("link", "send either a link, or a user and a password", file="body")
    cookie = accounts().redeem_link(link) if link else accounts().sign_in(user, password)
    if cookie is None:
        guard.count_failure()
        if link:
            raise Problem(
                401, "this link was used already or is older than ten minutes; run edgectl signin for a new one"
            )
        raise Problem(401, "name or password is wrong")
    identity = accounts().session(cookie)
    response = _json(
        {"name": identity.name, "kind": identity.kind, "scopes": list(identity.scopes)} if identity else {}
    )
    response.set_cookie(
        cookie_name(),
        cookie,
        max_age=SESSION_LIFETIME // 1000,
        secure=request.is_secure,
        httponly=True,
        samesite="Strict",
        path="/",
    )
    return response


@route(
    blueprint,
    "POST /signout",
    Operation("End this session", scope="", answers={204: None}, errors=(403,)),
)
def sign_out() -> Response:
    check_origin()
    if cookie := request.cookies.get(cookie_name()):
        accounts().end_session(cookie)
    response = Response(status=204)
    response.delete_cookie(cookie_name(), path="/", secure=request.is_secure, httponly=True, samesite="Strict")
    return response


@route(blueprint, "GET /api/v1/session", Operation("Who is asking", answers={200: ref("Session")}))
def session() -> Json:
    identity = caller()
    return {"name": identity.name, "kind": identity.kind, "scopes": list(identity.scopes)}


def _json(body: Json) -> Response:
    return Response(msgspec.json.encode(body), content_type="application/json")
