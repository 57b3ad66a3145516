"""The page: a shell rendered here, one script, one style sheet. Nothing on it comes from anywhere else."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib import resources

from flask import Blueprint, Response, g, render_template, request
from werkzeug.exceptions import NotFound

from edge_agent.web.desk import appliance
from edge_agent.web.operation import Operation, route
from edge_agent.web.schemas import TEXT

blueprint = Blueprint("page", __name__, template_folder="../templates")

KINDS = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "webmanifest": "application/manifest+json",
}
_HTML = {"text/html": TEXT}


@route(
    blueprint,
    "GET /",
    Operation("The page; without a session, the way to the sign-in page", "", answers={200: _HTML, 303: None}),
)
def index() -> Response:
    if g.identity is None or not g.identity.may("read"):
        return Response(status=303, headers={"Location": "/signin"})
    source = appliance()
    return _html("page.html", site=source.site, version=source.version, name=g.identity.name, scopes=g.identity.scopes)


@route(blueprint, "GET /signin", Operation("The sign-in page", scope="", answers={200: _HTML}))
def signin_page() -> Response:
    return _html("signin.html", site=appliance().site)


@route(
    blueprint,
    "GET /static/<name>",
    Operation("What the pages are made of", scope="", answers={200: {"*/*": TEXT}, 304: None}, errors=(404,)),
)
def static(name: str) -> Response:
    content = _files().get(name)
    if content is None:
        raise NotFound
    response = Response(content, content_type=KINDS[name.rpartition(".")[2]])
    response.set_etag(hashlib.sha256(content).hexdigest()[:16])
    response.headers["Cache-Control"] = "no-cache"
    response.make_conditional(request)
    return response


@lru_cache(maxsize=1)
def _files() -> dict[str, bytes]:
    """Everything in the folder `static`, read once."""
    folder = resources.files("edge_agent.web") / "static"
    return {
        file.name: file.read_bytes()
        for file in folder.iterdir()
        if file.is_file() and file.name.rpartition(".")[2] in KINDS
    }


def _html(template: str, **values: object) -> Response:
    return Response(render_template(template, **values), content_type="text/html; charset=utf-8")
