"""The one Flask application: routes, guard, problems and headers put together.

In: the appliance and the accounts. Out: a WSGI application for `server.Server`. Guarantee: every response has the security
headers, every error is a problem document, and nothing a client presented to prove who it is reaches the log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from urllib.parse import unquote

from flask import Flask, Response
from werkzeug.routing import BaseConverter

from edge_agent.ports import Clock
from edge_agent.web import problems
from edge_agent.web.accounts import Accounts
from edge_agent.web.appliance import Appliance
from edge_agent.web.desk import Desk
from edge_agent.web.guard import Guard, Limits
from edge_agent.web.listening import own_names
from edge_agent.web.operation import operations
from edge_agent.web.routes import blueprints
from edge_agent.web.streams import Streams

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class EventId(BaseConverter):
    """An id with slashes in it; %2F, which the server leaves as it is, is one too."""

    regex = r"[^/].*?"
    part_isolating = False

    def to_python(self, value: str) -> str:
        return unquote(value) if "%2f" in value.lower() else value


def create_app(
    appliance: Appliance,
    accounts: Accounts,
    *,
    clock: Clock = lambda: time.time_ns() // 1_000_000,
    names: Iterable[str] = (),
    streams: int = 16,
    limits: Limits | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Flask:
    """The application. `names` are host names it answers to beside loopback, its own and the address it was reached at;
    `streams` is how many pages may follow live; `clock` gives epoch milliseconds, `monotonic` seconds."""
    app = Flask("edge_agent.web", static_folder=None)
    app.url_map.converters["event"] = EventId
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined]
    guard = Guard(accounts, {*own_names(), *names}, limits or Limits(), monotonic)
    app.extensions["edge.streams"] = Streams(streams)
    app.extensions["edge.desk"] = Desk(appliance, accounts, app.extensions["edge.streams"], clock)
    app.extensions["edge.guard"] = guard
    app.extensions["edge.operations"] = {}
    for blueprint in blueprints():
        app.register_blueprint(blueprint)
        app.extensions["edge.operations"].update(operations(blueprint))
    app.before_request(guard.admit)
    app.after_request(_harden)
    problems.register(app)
    return app


def _harden(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    return response
