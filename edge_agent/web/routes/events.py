"""Live: everything that happens, as Server-Sent Events.

In: a subscription to the appliance. Out: `hello`, then `reading`, `device`, `alert`, `invocation`, `alarm`, `status`, and a
`beat` when nothing happens. Guarantee: of many values of one reading between two looks the newest is sent (that is what
a page can show); nothing else is left out here; a stream ends soon after its reader has gone or may no longer read.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from flask import Blueprint, Response, current_app, request

from edge_agent.web.desk import appliance, desk, now
from edge_agent.web.operation import Operation, route
from edge_agent.web.problems import Problem
from edge_agent.web.schemas import TEXT
from edge_agent.web.streams import WAKE, Feed, Streams

blueprint = Blueprint("events", __name__)
Json = dict[str, Any]
Event = tuple[str, Json]

BEAT = 10.0
"""Seconds between signs of life: a page that has heard nothing for 25 says so."""
LOOK = 1.0
"""Seconds between looks whether the reader is still there."""
PACE = 0.2
"""Seconds from one send to the next: a page cannot show more, and a Pi has better things to do."""
FLEETING = ("reading", "device")
MOST = 5000
"""Events taken from the subscription at once."""


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
    streams, source = desk().streams, appliance()
    if not streams.take():
        raise Problem(503, f"all {streams.limit} live connections are taken; try again soon", retry_after=10.0)
    try:
        feed: Feed = source.subscribe()
    except BaseException:
        streams.give_back()
        raise

    def leave() -> None:
        streams.give_back()
        source.unsubscribe(feed)

    hello = ("hello", {"version": source.version, "site": source.site, "t": now()})
    has_left: Callable[[], bool] = request.environ.get("edge.has_left", lambda: False)
    welcome: Callable[[], bool] = current_app.extensions["edge.guard"].welcome()
    response = Response(
        _chunks(feed, streams, hello, has_left, welcome), content_type="text/event-stream; charset=utf-8"
    )
    response.call_on_close(leave)
    return response


def _chunks(
    feed: Feed, streams: Streams, hello: Event, has_left: Callable[[], bool], welcome: Callable[[], bool]
) -> Iterator[bytes]:
    yield b"retry: 3000\n\n" + _encode([hello])
    said = checked = time.monotonic()
    with streams.following(feed):
        while not streams.closing.is_set() and not has_left():
            happened = _newest(_take(feed))
            moment = time.monotonic()
            if moment - checked >= BEAT:
                if not welcome():
                    return
                checked = moment
            if happened:
                yield _encode(happened)
                said = moment
                streams.closing.wait(PACE)
            elif moment - said >= BEAT:
                yield _encode([("beat", {"t": int(time.time() * 1000)})])
                said = moment


def _take(feed: Feed) -> list[Event]:
    """What has happened; waits `LOOK` seconds for something to happen."""
    taken: list[Event] = []
    try:
        taken.append(feed.get(timeout=LOOK))
        while len(taken) < MOST:
            taken.append(feed.get_nowait())
    except queue.Empty:
        pass
    return [event for event in taken if event is not WAKE]


def _newest(happened: list[Event]) -> list[Event]:
    """In order, without readings and device states that a later one of the same replaces."""
    last = {_key(event): place for place, event in enumerate(happened)}
    return [event for place, event in enumerate(happened) if last[_key(event)] == place or event[0] not in FLEETING]


def _key(event: Event) -> object:
    kind, data = event
    if kind == "reading":
        return (kind, data.get("device"), *data.get("values", ()))
    return (kind, data.get("name")) if kind == "device" else kind


def _encode(happened: Iterable[Event]) -> bytes:
    return b"".join(b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode(data)) for kind, data in happened)
