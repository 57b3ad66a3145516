"""Alerts: what fires, who has seen it, what is to be quiet."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from edge_agent.domain.alert import SEVERITIES
from edge_agent.web import parameters
from edge_agent.web.desk import appliance, caller, now
from edge_agent.web.operation import Operation, route
from edge_agent.web.schemas import ANY, CURSOR, LIMIT, SEVERITY, TEXT, page, query, record, ref

blueprint = Blueprint("alerts", __name__)
Json = dict[str, Any]
LONGEST_SILENCE = 366 * 24 * 3600 * 1000


@route(
    blueprint,
    "GET /api/v1/alerts",
    Operation(
        "Alerts, newest first",
        query=(query("state", "firing or resolved; both when left out"), LIMIT, CURSOR),
        answers={200: page("Alert")},
        errors=(400,),
    ),
)
def list_alerts() -> Json:
    state = parameters.word("state", ("firing", "resolved"))
    return appliance().alerts(state=state, limit=parameters.limit(), cursor=parameters.word("cursor"))


@route(
    blueprint,
    "POST /api/v1/alerts/<event:id>/ack",
    Operation("Say that somebody has seen it", scope="operate", answers={200: ref("Alert")}, errors=(404, 503)),
)
def ack_alert(id: str) -> Json:
    return appliance().ack_alert(id, caller().name)


@route(
    blueprint,
    "POST /api/v1/alerts/silences",
    Operation(
        "Keep a rule quiet on a device (or *) until a moment",
        scope="operate",
        body={
            "application/json": record(
                "rule until",
                rule=TEXT,
                device=TEXT,
                until={"type": ["string", "integer"], "description": "2h, RFC 3339 or ms"},
            )
        },
        answers={201: ANY},
        errors=(400, 404, 413, 415, 503),
    ),
)
def silence() -> tuple[Json, int]:
    fields = parameters.Fields(parameters.body_object())
    rule, device = fields.text("rule", most=63), fields.text("device", default="*", most=63)
    moment = now()
    until = fields.moment("until", moment, ahead=True)
    fields.done()
    if not moment < until <= moment + LONGEST_SILENCE:
        raise parameters.fault("until", "must be in the future, within a year", "2h is two hours from now", file="body")
    return appliance().silence(rule, device, until, caller().name), 201


@route(
    blueprint,
    "POST /api/v1/alerts/test",
    Operation(
        "Raise a test alert on every channel",
        scope="operate",
        body={"application/json": record(severity=SEVERITY)},
        answers={202: ANY},
        errors=(400, 413, 415, 503),
    ),
)
def test_alert() -> tuple[Json, int]:
    fields = parameters.Fields(parameters.body_object(optional=True))
    severity = fields.text("severity", default="info")
    fields.done()
    if severity not in SEVERITIES:
        raise parameters.fault("severity", f"must be one of {', '.join(SEVERITIES)}", file="body")
    return appliance().test_alert(severity), 202
