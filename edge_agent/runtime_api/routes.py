"""Which call of the Runtime API is this? Pure: method and path in, call and request id out.

The paths are AWS's ("AWS Lambda runtime API", version 2018-06-01, OpenAPI document of the same name).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

PREFIX = b"/2018-06-01/runtime/"
RENEWED = b"/2018-06-01/edge/renewed"
"""Not AWS's: an entry point of our own images says that its process is gone, and asks whether another is to begin."""

Name = Literal["next", "response", "error", "init-error", "renewed"]


class Call(NamedTuple):
    name: Name
    request_id: str = ""


class Refusal(NamedTuple):
    """No such path (404), or not with this method (405)."""

    status: int
    kind: str
    message: str


NEXT = Call("next")
INIT_ERROR = Call("init-error")
NO_PATH = Refusal(404, "NotFound", "no such path; this is the Lambda Runtime API, version 2018-06-01")
NO_METHOD = Refusal(405, "MethodNotAllowed", "not with this method")

_INVOCATION = PREFIX + b"invocation/"
_WITHOUT_ID: dict[bytes, tuple[bytes, Call]] = {
    _INVOCATION + b"next": (b"GET", NEXT),
    PREFIX + b"init/error": (b"POST", INIT_ERROR),
    RENEWED: (b"POST", Call("renewed")),
}


def route(method: bytes, path: bytes) -> Call | Refusal:
    """Tell the calls apart; a query string is ignored."""
    path = path.partition(b"?")[0]
    if found := _WITHOUT_ID.get(path):
        return found[1] if method == found[0] else NO_METHOD
    if not path.startswith(_INVOCATION):
        return NO_PATH
    request_id, _, what = path[len(_INVOCATION) :].partition(b"/")
    if not request_id or what not in (b"response", b"error"):
        return NO_PATH
    if method != b"POST":
        return NO_METHOD
    return Call("response" if what == b"response" else "error", request_id.decode("latin-1"))


def answering(path: bytes) -> bool:
    """Does a call to this path tell how an event ended? Then it has to know the event's request id."""
    return path.startswith(_INVOCATION) and path.endswith((b"/response", b"/error"))
