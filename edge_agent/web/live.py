"""A live answer: Server-Sent Events from a feed until the reader has gone, may no longer read, or the server stops.

In: how to subscribe, and what to say first. Out: a streaming response, and a `beat` when nothing happens. Guarantee: never
more streams than there are places; each ends soon after its reason to be.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
from flask import Response, current_app, request

from edge_agent.web.desk import desk
from edge_agent.web.problems import Problem
from edge_agent.web.streams import WAKE, Feed

Json = dict[str, Any]
Event = tuple[str, Json]

BEAT = 10.0
"""Seconds between signs of life: a page that has heard nothing for 25 says so."""
LOOK = 1.0
"""Seconds between looks whether the reader is still there."""
PACE = 0.2
"""Seconds from one send to the next: nobody can see more, and a Pi has better things to do."""
MOST = 5000
"""Events taken from the feed at once."""


class Source(NamedTuple):
    """`first` is asked after `subscribe`, so that nothing falls in between; `sift` chooses what is worth sending."""

    subscribe: Callable[[], Feed]
    unsubscribe: Callable[[Feed], None]
    first: Callable[[], Iterable[Event]]
    sift: Callable[[list[Event]], list[Event]]


def live(source: Source) -> Response:
    """Errors: 503 when every place is taken, and what `subscribe` and `first` raise."""
    streams = desk().streams
    if not streams.take():
        raise Problem(503, f"all {streams.limit} live connections are taken; try again soon", retry_after=10.0)
    feed: Feed | None = None

    def leave() -> None:
        streams.give_back()
        if feed is not None:
            source.unsubscribe(feed)

    try:
        feed = source.subscribe()
        first = list(source.first())
    except BaseException:
        leave()
        raise
    response = Response(_chunks(feed, first, source), content_type="text/event-stream; charset=utf-8")
    response.call_on_close(leave)
    return response


def _chunks(feed: Feed, first: list[Event], source: Source) -> Iterator[bytes]:
    streams = desk().streams
    has_left: Callable[[], bool] = request.environ.get("edge.has_left", lambda: False)
    welcome: Callable[[], bool] = current_app.extensions["edge.guard"].welcome()

    def chunks() -> Iterator[bytes]:
        yield b"retry: 3000\n\n" + _encode(first)
        said = checked = time.monotonic()
        with streams.following(feed):
            while not streams.closing.is_set() and not has_left():
                happened = source.sift(_take(feed))
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

    return chunks()


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


def _encode(happened: Iterable[Event]) -> bytes:
    return b"".join(b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode(data)) for kind, data in happened)
