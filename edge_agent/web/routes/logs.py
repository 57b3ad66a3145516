"""What functions print: the newest lines, and live."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from edge_agent.web import parameters
from edge_agent.web.desk import appliance, now
from edge_agent.web.live import Event, Source, live
from edge_agent.web.operation import Operation, route
from edge_agent.web.schemas import COUNT, SINCE, TEXT, listed, query, record, ref

blueprint = Blueprint("logs", __name__)
Json = dict[str, Any]
TAIL = query("tail", "only the last so many", {"type": "integer", "minimum": 0, "maximum": parameters.MOST_ITEMS})


@route(
    blueprint,
    "GET /api/v1/functions/<function>/logs",
    Operation(
        "What a function's workers printed, oldest first; the newest few hundred lines are kept",
        query=(SINCE, TAIL),
        answers={200: record("items lost", items=listed(ref("Line")), lost=COUNT)},
        errors=(400, 404),
    ),
)
def logs(function: str) -> Json:
    name = parameters.known_name(function, "function")
    return appliance().logs(name, since=parameters.instant("since", now(), 0), tail=parameters.count("tail"))


@route(
    blueprint,
    "GET /api/v1/functions/<function>/logs/live",
    Operation(
        "The same, live: an event `line` for each (Server-Sent Events)",
        query=(SINCE, TAIL),
        answers={200: {"text/event-stream": TEXT}},
        errors=(400, 404, 503),
    ),
)
def follow(function: str) -> Response:
    name, source = parameters.known_name(function, "function"), appliance()
    since, tail = parameters.instant("since", now(), now()), parameters.count("tail")
    told = 0

    def first() -> list[Event]:
        nonlocal told
        lines = [line for line in source.logs(name, since=since, tail=tail)["items"] if line["n"]]
        told = lines[-1]["n"] if lines else 0
        return [("line", line) for line in lines]

    def unseen(happened: list[Event]) -> list[Event]:
        return [event for event in happened if event[1]["n"] > told]

    return live(Source(lambda: source.follow_logs(name), lambda feed: source.unfollow_logs(name, feed), first, unseen))
