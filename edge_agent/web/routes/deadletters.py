"""Events no function answered: look, try again, or let go."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from edge_agent.web import parameters
from edge_agent.web.desk import appliance, now
from edge_agent.web.operation import Operation, route
from edge_agent.web.schemas import ANY, CURSOR, DRY_RUN, LIMIT, TEXT, page, query, record

blueprint = Blueprint("deadletters", __name__)
Json = dict[str, Any]


@route(
    blueprint,
    "GET /api/v1/deadletters",
    Operation(
        "Dead letters, newest first",
        query=(query("function"), LIMIT, CURSOR),
        answers={200: page("DeadLetter")},
        errors=(400,),
    ),
)
def list_dead_letters() -> Json:
    return appliance().dead_letters(
        function=parameters.word("function"), limit=parameters.limit(), cursor=parameters.word("cursor")
    )


@route(
    blueprint,
    "POST /api/v1/deadletters/<event:id>/redrive",
    Operation(
        "Hand it to its function again",
        scope="operate",
        query=(DRY_RUN,),
        answers={202: ANY},
        errors=(400, 404, 409, 503),
    ),
)
def redrive(id: str) -> tuple[Json, int]:
    return appliance().redrive(id, dry_run=parameters.flag("dry_run")), 202


@route(
    blueprint,
    "POST /api/v1/deadletters/purge",
    Operation(
        "Let dead letters go",
        scope="admin",
        query=(DRY_RUN,),
        body={
            "application/json": record(
                function=TEXT,
                older_than={
                    "type": ["string", "integer"],
                    "description": "7d, RFC 3339 or epoch ms; all when left out",
                },
            )
        },
        answers={200: ANY},
        errors=(400, 413, 415, 503),
    ),
)
def purge() -> Json:
    fields = parameters.Fields(parameters.body_object(optional=True))
    function = fields.text("function", default="", most=63)
    older_than = fields.moment("older_than", now(), default=0)
    fields.done()
    return appliance().purge(function=function, older_than=older_than, dry_run=parameters.flag("dry_run"))
