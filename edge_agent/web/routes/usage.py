"""What functions used: invocations, errors, cold starts, GB-seconds, durations."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from edge_agent.errors import Invalid
from edge_agent.web import parameters
from edge_agent.web.desk import appliance, now
from edge_agent.web.operation import Operation, route
from edge_agent.web.schemas import CURSOR, LIMIT, SINCE, STEP, UNTIL, page, ref

blueprint = Blueprint("usage", __name__)
Json = dict[str, Any]
DAY = 24 * 3600 * 1000
STEPS = {**STEP, "description": "1m (the last hour is kept by the minute), or whole hours as in 1h, 24h"}


@route(
    blueprint,
    "GET /api/v1/functions/<function>/usage",
    Operation(
        "What one function used; the last day when nothing is said",
        query=(SINCE, UNTIL, STEPS),
        answers={200: ref("Usage")},
        errors=(400, 404),
    ),
)
def of_function(function: str) -> Json:
    return appliance().usage(parameters.known_name(function, "function"), *_span())


@route(
    blueprint,
    "GET /api/v1/usage",
    Operation(
        "What every function used; the last day when nothing is said",
        query=(SINCE, UNTIL, STEPS, LIMIT, CURSOR),
        answers={200: page("Usage")},
        errors=(400,),
    ),
)
def of_all() -> Json:
    return parameters.page_of(appliance().all_usage(*_span()), "function")


def _span() -> tuple[int, int, int]:
    """since, until, step: all in ms. Errors: `Invalid`."""
    moment = now()
    until = parameters.instant("until", moment, moment + 1)
    since = parameters.instant("since", moment, max(0, until - DAY))
    step = parameters.duration("step")
    faults = []
    if since > until:
        faults += parameters.fault("since", "is later than until").faults
    if faults:
        raise Invalid(faults)
    return since, until, step
