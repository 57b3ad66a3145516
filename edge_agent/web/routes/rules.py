"""Rules: their manifests, and what they would have said."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from edge_agent.web import manifests, parameters
from edge_agent.web.desk import appliance, now
from edge_agent.web.manifests import CHANGE, DELETE, READ
from edge_agent.web.operation import Operation, route
from edge_agent.web.schemas import CURSOR, LIMIT, SINCE, UNTIL, page, ref

blueprint = Blueprint("rules", __name__)
Json = dict[str, Any]
DAY = 24 * 3600 * 1000


@route(
    blueprint,
    "GET /api/v1/rules",
    Operation("Every rule", query=(LIMIT, CURSOR), answers={200: page("Rule")}, errors=(400,)),
)
def list_rules() -> Json:
    return parameters.page_of(sorted(appliance().rules(), key=lambda rule: str(rule["name"])))


@route(blueprint, "GET /api/v1/rules/<rule>", READ("One rule", "Rule"))
def show_rule(rule: str) -> Response:
    return manifests.show(manifests.RULE, rule)


@route(blueprint, "PUT /api/v1/rules/<rule>", CHANGE("Create or change a rule; live at once", "Rule"))
def put_rule(rule: str) -> Response:
    return manifests.put(manifests.RULE, rule)


@route(blueprint, "DELETE /api/v1/rules/<rule>", DELETE("Remove a rule"))
def delete_rule(rule: str) -> Response:
    return manifests.delete(manifests.RULE, rule)


@route(
    blueprint,
    "POST /api/v1/rules/<rule>/replay",
    Operation(
        "When this rule would have fired; changes nothing",
        query=(SINCE, UNTIL),
        answers={200: ref("Replay")},
        errors=(400, 404, 503),
    ),
)
def replay_rule(rule: str) -> Json:
    moment = now()
    until = parameters.instant("until", moment, moment + 1)
    since = parameters.instant("since", moment, max(0, until - DAY))
    if since > until:
        raise parameters.fault("since", "is later than until")
    return appliance().replay_rule(parameters.known_name(rule, "rule"), since, until)
