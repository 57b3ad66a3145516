"""Events no function answered: look, try again, or let go."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from edge_agent.web import parameters
from edge_agent.web.desk import appliance, now
from edge_agent.web.operation import Operation, route
from edge_agent.web.schemas import COUNT, CURSOR, DRY_RUN, LIMIT, SINCE, TEXT, UNTIL, listed, page, query, record, ref

blueprint = Blueprint("deadletters", __name__)
Json = dict[str, Any]
FUNCTION = query("function", "only of this one")
_MOMENT = {"type": ["string", "integer"]}


@route(
    blueprint,
    "GET /api/v1/deadletters",
    Operation(
        "Dead letters, the newest first; since and until are when they died",
        query=(
            FUNCTION,
            query("kind", "how the last attempt failed: timeout, function-error, ..."),
            query("device", "only events of this one"),
            SINCE,
            UNTIL,
            LIMIT,
            CURSOR,
        ),
        answers={200: page("DeadLetter")},
        errors=(400,),
    ),
)
def list_dead_letters() -> Json:
    selection: Json = {name: parameters.word(name) for name in ("function", "kind", "device")}
    selection |= {name: parameters.instant(name, now(), 0) for name in ("since", "until")}
    return appliance().dead_letters(selection, limit=parameters.limit(), cursor=parameters.word("cursor"))


@route(
    blueprint,
    "GET /api/v1/deadletters/<event:id>",
    Operation(
        "One dead letter with its event, log and attempts",
        query=(FUNCTION,),
        answers={200: ref("DeadLetter")},
        errors=(400, 404),
    ),
)
def show(id: str) -> Json:
    return appliance().dead_letter(id, parameters.word("function"))


@route(
    blueprint,
    "POST /api/v1/deadletters/<event:id>/redrive",
    Operation(
        "Hand it to its function again",
        scope="operate",
        query=(FUNCTION, DRY_RUN),
        answers={202: record("id functions redriven", id=TEXT, functions=listed(TEXT), redriven=COUNT)},
        errors=(400, 404, 409, 503),
    ),
)
def redrive(id: str) -> tuple[Json, int]:
    return appliance().redrive(id, parameters.word("function"), dry_run=parameters.flag("dry_run")), 202


@route(
    blueprint,
    "POST /api/v1/deadletters/purge",
    Operation(
        "Let dead letters go; all when nothing is said",
        scope="admin",
        query=(DRY_RUN,),
        body={
            "application/json": record(
                id=TEXT,
                function=TEXT,
                kind=TEXT,
                device=TEXT,
                since={**_MOMENT, "description": "those that died then or later: 7d, RFC 3339 or epoch ms"},
                until={**_MOMENT, "description": "those that died before"},
                older_than={**_MOMENT, "description": "the same as until"},
            )
        },
        answers={200: record("purged", purged=COUNT)},
        errors=(400, 413, 415, 503),
    ),
)
def purge() -> Json:
    fields = parameters.Fields(parameters.body_object(optional=True))
    selection: Json = {name: fields.text(name, default="") for name in ("id", "function", "kind", "device")}
    since = fields.moment("since", now(), default=0)
    until = fields.moment("until", now(), default=0)
    older_than = fields.moment("older_than", now(), default=0)
    fields.done()
    selection |= {"since": since, "until": min(until, older_than) or until or older_than}
    return appliance().purge(selection, dry_run=parameters.flag("dry_run"))
