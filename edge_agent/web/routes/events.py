"""Live: everything that happens, as Server-Sent Events.

In: a subscription to the appliance. Out: `hello`, then `reading`, `device`, `alert`, `invocation`, `alarm`, `status`, and a
`beat` when nothing happens. Guarantee: of many values of one reading between two looks the newest is sent (that is what
a page can show); nothing else is left out here; a stream ends soon after its reader has gone or may no longer read.
"""

from __future__ import annotations

from flask import Blueprint, Response

from edge_agent.web.desk import appliance, now
from edge_agent.web.live import Event, Source, live
from edge_agent.web.operation import Operation, route
from edge_agent.web.schemas import TEXT

blueprint = Blueprint("events", __name__)

FLEETING = ("reading", "device")


@route(
    blueprint,
    "GET /api/v1/events",
    Operation(
        "Everything that happens, live (Server-Sent Events)",
        answers={200: {"text/event-stream": TEXT}},
        errors=(503,),
    ),
)
def events() -> Response:
    source = appliance()
    hello = ("hello", {"version": source.version, "site": source.site, "t": now()})
    return live(Source(source.subscribe, source.unsubscribe, lambda: [hello], _newest))


def _newest(happened: list[Event]) -> list[Event]:
    """In order, without readings and device states that a later one of the same replaces."""
    last = {_key(event): place for place, event in enumerate(happened)}
    return [event for place, event in enumerate(happened) if last[_key(event)] == place or event[0] not in FLEETING]


def _key(event: Event) -> object:
    kind, data = event
    if kind == "reading":
        return (kind, data.get("device"), *data.get("values", ()))
    return (kind, data.get("name")) if kind == "device" else kind
