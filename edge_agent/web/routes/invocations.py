"""What functions were asked, and how it ended."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from edge_agent.web import parameters
from edge_agent.web.desk import appliance
from edge_agent.web.operation import Operation, route
from edge_agent.web.schemas import CURSOR, LIMIT, page, query, ref

blueprint = Blueprint("invocations", __name__)
Json = dict[str, Any]


@route(
    blueprint,
    "GET /api/v1/invocations",
    Operation(
        "Invocations, newest first",
        query=(query("function"), query("state"), LIMIT, CURSOR),
        answers={200: page("Invocation")},
        errors=(400,),
    ),
)
def list_invocations() -> Json:
    return appliance().invocations(
        function=parameters.word("function"),
        state=parameters.word("state"),
        limit=parameters.limit(),
        cursor=parameters.word("cursor"),
    )


@route(
    blueprint,
    "GET /api/v1/invocations/<event:id>",
    Operation("One invocation with its answer and log", answers={200: ref("Invocation")}, errors=(404,)),
)
def show_invocation(id: str) -> Json:
    return appliance().invocation(id)
