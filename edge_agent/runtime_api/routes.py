"""Which call of the Runtime API is this? Pure: method and path in, call and request id out.

The paths are AWS's ("AWS Lambda runtime API", version 2018-06-01, OpenAPI document of the same name).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

PREFIX = b"/2018-06-01/runtime/"

Name = Literal["next", "response", "error", "init-error"]


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


def route(method: bytes, path: bytes) -> Call | Refusal:
    """Tell the four calls apart; a query string is ignored."""
    path = path.partition(b"?")[0]
    if not path.startswith(PREFIX):
        return NO_PATH
    match path[len(PREFIX) :].split(b"/"):
        case [b"invocation", b"next"]:
            return NEXT if method == b"GET" else NO_METHOD
        case [b"invocation", request_id, b"response"] if request_id:
            return Call("response", request_id.decode("latin-1")) if method == b"POST" else NO_METHOD
        case [b"invocation", request_id, b"error"] if request_id:
            return Call("error", request_id.decode("latin-1")) if method == b"POST" else NO_METHOD
        case [b"init", b"error"]:
            return INIT_ERROR if method == b"POST" else NO_METHOD
    return NO_PATH
