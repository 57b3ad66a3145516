"""The calls of the Runtime API: a worker's request becomes a step of the engine, and an answer in AWS's words.

Enters: a parsed request and who sent it. Leaves: the bytes of the answer, or None: `next` waits until there is an event.
Guarantee: a worker gets events of its own function only, and settles only what it holds; anything else changes nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

import msgspec

from edge_agent.domain.function import MAX_PAYLOAD
from edge_agent.domain.invocation import Failed, Succeeded
from edge_agent.engine.functions.dispatch import Engine, Verdict
from edge_agent.engine.functions.work import Give, Handover
from edge_agent.runtime_api.http import Request, response
from edge_agent.runtime_api.routes import Refusal, route

PERMANENT = "Permanent"
"""An `errorType` that begins with this word, such as the name of a Python class, says that another attempt cannot help."""
ACCEPTED = b'{"status":"OK"}\n'
_ACCEPTED = response(202, ACCEPTED)

ERROR_TYPE = b"lambda-runtime-function-error-type"
ERROR_BODY = b"lambda-runtime-function-error-body"
"""Header of an error; trailer of an answer that broke off, with the error document in base64."""

REFUSALS: dict[Verdict, tuple[int, str, str]] = {
    "twice": (403, "InvalidStateTransition", "this request was answered already"),
    "not-yours": (403, "Forbidden", "this request was given to another worker"),
    "unknown": (400, "InvalidRequestID", "no such request, or its time is over"),
}


class ErrorDocument(msgspec.Struct, rename="camel"):
    """What a function posts when it fails. Clients add more; these two are read."""

    error_message: str = ""
    error_type: str = ""


def handover(given: Handover) -> bytes:
    """The answer to `next`."""
    headers = (
        f"Lambda-Runtime-Aws-Request-Id: {given.request_id}\r\n"
        f"Lambda-Runtime-Deadline-Ms: {given.deadline}\r\n"
        f"Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:edge:000000000000:function:{given.function}\r\n"
        f"Lambda-Runtime-Trace-Id: {given.trace}\r\n"
    )
    return response(200, given.event, headers=headers.encode("latin-1"))


def refusal(status: int, kind: str, message: str, *, keep_alive: bool = True) -> bytes:
    """An error in the form AWS documents: errorMessage and errorType."""
    body = msgspec.json.encode({"errorMessage": message, "errorType": kind})
    return response(status, body, keep_alive=keep_alive)


class Calls:
    """Serves requests of workers that are known by id."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def serve(self, worker_id: str, request: Request, give: Give) -> bytes | None:
        """The answer; None when `give` sends it, now or later (`next`)."""
        call = route(request.method, request.path)
        if isinstance(call, Refusal):
            return self._refuse(*call)
        if call.name == "next":
            if self._engine.asks(worker_id, give):
                return None
            return self._refuse(403, "InvalidStateTransition", "answer the event you hold before you ask for the next")
        if call.name == "init-error":
            reason = f"its initialisation failed: {_reason(request.headers, request.body)}"
            if self._engine.cannot_start(worker_id, reason):
                return _ACCEPTED
            return self._refuse(403, "InvalidStateTransition", "the initialisation is over")
        if call.name == "renewed":
            if self._engine.renews(worker_id):
                return _ACCEPTED
            if self._engine.closed:
                return self._refuse(503, "ServiceUnavailable", "the agent is stopping: ask again when it is back")
            return self._refuse(409, "InvalidStateTransition", "no other process is to begin in this worker")
        return self._ended(worker_id, call.request_id, request, failed=call.name == "error")

    def _ended(self, worker_id: str, request_id: str, request: Request, *, failed: bool) -> bytes:
        outcome: Succeeded | Failed
        if request.oversize or len(request.body) > MAX_PAYLOAD + (100 if failed else 0):
            outcome = Failed("oversize", f"its answer is larger than {MAX_PAYLOAD} bytes", temporary=False)
        elif failed:
            outcome = _failed(request.headers, request.body)
        elif request.trailers and ERROR_TYPE in request.trailers:
            outcome = _failed(request.trailers, _broken_off(request.trailers))
        else:
            outcome = Succeeded(request.body, _content_type(request))
        verdict = self._engine.answers(worker_id, request_id, outcome)
        if verdict != "accepted":
            return self._refuse(*REFUSALS[verdict])
        if isinstance(outcome, Failed) and outcome.kind == "oversize":
            return self._refuse(413, "RequestEntityTooLarge", f"an answer may have {MAX_PAYLOAD} bytes")
        return _ACCEPTED

    def _refuse(self, status: int, kind: str, message: str) -> bytes:
        self._engine.stats.refused[kind] += 1
        return refusal(status, kind, message)


def _content_type(request: Request) -> str:
    """What the answer is; wget and curl call whatever they post a form."""
    said = request.headers.get(b"content-type", b"").decode("latin-1")
    return said if said and said != "application/x-www-form-urlencoded" else "application/json"


def _failed(headers: Mapping[bytes, bytes], document: bytes) -> Failed:
    reason = _reason(headers, document)
    return Failed("function-error", reason, not reason.startswith(PERMANENT), error=document)


def _broken_off(trailers: Mapping[bytes, bytes]) -> bytes:
    """The error document of an answer that broke off in the middle (AWS: "Response streaming", mid-stream errors)."""
    try:
        return base64.b64decode(trailers.get(ERROR_BODY, b""))
    except ValueError:
        return b""


def _reason(headers: Mapping[bytes, bytes], body: bytes) -> str:
    """One sentence from an error document, however incomplete."""
    kind = headers.get(ERROR_TYPE, b"").decode("latin-1")
    try:
        document = msgspec.json.decode(body, type=ErrorDocument)
    except (msgspec.DecodeError, UnicodeDecodeError):
        document = ErrorDocument(body[:500].decode("utf-8", "replace"))
    words = [word for word in (document.error_type or kind, document.error_message) if word]
    return ": ".join(words)[:1000] or "the function reported an error without a message"
