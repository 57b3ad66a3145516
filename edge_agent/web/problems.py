"""Errors as RFC 9457 problem details: what happened, what to do, and every fault at once.

In: exceptions. Out: responses with `application/problem+json`. Nothing that was presented (tokens, bodies) is repeated.
"""

from __future__ import annotations

import logging
import math
from http import HTTPStatus
from typing import Any

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from edge_agent.errors import Conflict, EdgeError, Fault, Invalid, NotFound, Refused, Unavailable

log = logging.getLogger(__name__)


class Problem(Exception):
    """Ends a request with `status`. `retry_after` is seconds."""

    def __init__(
        self, status: int, detail: str, *, retry_after: float = 0.0, faults: list[Fault] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.retry_after, self.faults = status, detail, retry_after, faults or []


def register(app: Flask) -> None:
    """Have every error of `app` leave as a problem."""
    app.register_error_handler(Problem, respond)
    app.register_error_handler(EdgeError, lambda error: respond(from_error(error)))
    app.register_error_handler(HTTPException, _from_http)
    app.register_error_handler(Exception, _from_surprise)


def respond(problem: Problem) -> Response:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.faults:
        body["faults"] = [fault_json(fault) for fault in problem.faults]
    response = Response(msgspec.json.encode(body), problem.status, content_type="application/problem+json")
    if problem.retry_after:
        response.headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after)))
    if problem.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="edge"'
    return response


def from_error(error: EdgeError) -> Problem:
    """What an error of the appliance is in HTTP."""
    match error:
        case Invalid():
            count = len(error.faults)
            detail = str(error.faults[0].message) if count == 1 else f"{count} things are wrong"
            if count == 1 and error.faults[0].field:
                detail = f"{error.faults[0].field}: {detail}"
            return Problem(400, detail, faults=error.faults)
        case Unavailable():
            return Problem(503, str(error), retry_after=max(error.delay, 1.0))
        case NotFound():
            return Problem(404, str(error))
        case Conflict():
            # RFC 9110, 13.1.1: 412 answers a condition of the client's, 409 a clash it could not know of.
            return Problem(412 if request.headers.get("If-Match") else 409, str(error))
        case Refused():
            return Problem(422, str(error))
    log.error("%s: %s", type(error).__name__, error)
    return Problem(500, str(error))


def fault_json(fault: Fault) -> dict[str, Any]:
    return {
        "file": fault.file,
        "line": fault.line,
        "column": fault.column,
        "field": fault.field,
        "message": fault.message,
        "hint": fault.hint,
    }


def _from_http(error: HTTPException) -> Response:
    status = error.code or 500
    detail = error.description or HTTPStatus(status).phrase
    if status == HTTPStatus.NOT_FOUND:
        detail = "there is nothing at this address"
    response = respond(Problem(status, detail))
    if allowed := getattr(error, "valid_methods", None):
        response.headers["Allow"] = ", ".join(sorted(allowed))
    if status == HTTPStatus.PERMANENT_REDIRECT and (location := getattr(error, "new_url", None)):
        response.headers["Location"] = location
    return response


def _from_surprise(error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return respond(
        Problem(500, "this is a fault of the appliance; its log has the details (edgectl report collects it)")
    )
