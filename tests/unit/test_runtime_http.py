"""HTTP as runtime clients speak it, whole or in crumbs, and what is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.runtime_api.http import MAX_BODY, MAX_DISCARDED, MAX_HEAD, BadRequest, Parser, Request, response
from edge_agent.runtime_api.routes import Call, Refusal, route

POST = b"POST /2018-06-01/runtime/invocation/1-2/response HTTP/1.1\r\nHost: a\r\n"


def parse(*pieces: bytes) -> list[Request]:
    parser, found = Parser(), []
    for piece in pieces:
        parser.feed(piece)
        while (request := parser.next()) is not None:
            found.append(request)
    return found


def refused(data: bytes) -> int:
    with pytest.raises(BadRequest) as refusal:
        parse(data)
    return refusal.value.status


STREAM = (
    b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: a:1\r\nUser-Agent: x\r\n\r\n"
    + POST
    + b"Content-Length: 5\r\n\r\nhello"
    + POST
    + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n"
    + POST
    + b"content-length:0\r\nConnection: close\r\n\r\n"
)


@given(st.lists(st.integers(1, len(STREAM) - 1), max_size=40))
def test_however_the_bytes_are_cut_the_same_requests_come_out(cuts: list[int]) -> None:
    edges = [0, *sorted(set(cuts)), len(STREAM)]
    requests = parse(*(STREAM[a:b] for a, b in pairwise(edges)))
    assert [request.body for request in requests] == [b"", b"hello", b"hello", b""]
    assert [request.method for request in requests] == [b"GET", b"POST", b"POST", b"POST"]
    assert [request.keep_alive for request in requests] == [True, True, True, False]


def test_trailers_are_told_apart_from_headers() -> None:
    (request,) = parse(POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nError-Type: Dry\r\nb: \r\n\r\n")
    assert request.trailers == {b"error-type": b"Dry", b"b": b""}
    assert b"error-type" not in request.headers
    assert refused(POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n") == 400


def test_header_names_are_found_in_any_case() -> None:
    (request,) = parse(b"GET / HTTP/1.1\r\nHOST: a\r\nX-Y:  z \r\n\r\n")
    assert request.headers == {b"host": b"a", b"x-y": b"z"}


def test_an_old_client_is_not_kept_waiting_on_its_connection() -> None:
    assert [r.keep_alive for r in parse(b"GET / HTTP/1.0\r\n\r\n")] == [False]
    assert [r.keep_alive for r in parse(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")] == [True]


def test_a_client_that_waits_for_a_hundred_is_told_to_go_on() -> None:
    parser = Parser()
    parser.feed(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert parser.next() is None
    assert parser.continue_wanted
    parser.feed(b"ok")
    request = parser.next()
    assert request is not None
    assert request.body == b"ok"
    assert not parser.continue_wanted


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Content-Length : 5\r\n",
        b"X: 1\r\n folded\r\n",
        b"no colon\r\n",
        b"Host: b\r\n",
    ],
)
def test_an_ambiguous_head_is_refused(lines: bytes) -> None:
    assert refused(POST + lines + b"\r\nhello") == 400


@pytest.mark.parametrize("size", [b"", b"x", b"-1", b"0x5", b"fffffffff"])
def test_a_chunk_without_a_plain_size_is_refused(size: bytes) -> None:
    assert refused(POST + b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\nhello\r\n0\r\n\r\n") == 400


def test_a_chunk_longer_than_it_says_is_refused() -> None:
    assert refused(POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n") == 400


def test_what_is_no_http_is_refused() -> None:
    assert refused(b"\x16\x03\x01 hello\r\n\r\n") == 400
    assert refused(b"GET /\r\n\r\n") == 400
    assert refused(b"GET / HTTP/2.0\r\n\r\n") == 400


def test_headers_without_end_are_refused() -> None:
    assert refused(b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD) == 431


def test_a_body_of_the_largest_size_is_whole() -> None:
    (request,) = parse(POST + b"Content-Length: %d\r\n\r\n" % MAX_BODY, b"x" * MAX_BODY)
    assert len(request.body) == MAX_BODY
    assert not request.oversize


@pytest.mark.parametrize("chunked", [False, True])
def test_a_larger_body_is_read_to_its_end_and_thrown_away(chunked: bool) -> None:
    body = b"x" * (MAX_BODY + 1)
    framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    head = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    after = b"GET /x HTTP/1.1\r\n\r\n"
    pieces = [framed[at : at + 65536] for at in range(0, len(framed), 65536)]
    large, small = parse(POST + head + b"\r\n\r\n", *pieces, after)
    assert (large.oversize, large.body) == (True, b"")
    assert small.path == b"/x"


def test_nobody_sends_for_ever() -> None:
    assert refused(POST + b"Content-Length: %d\r\n\r\n" % (MAX_DISCARDED + MAX_BODY)) == 413


def test_an_answer_is_one_piece_with_type_and_length() -> None:
    assert response(202, b"{}", keep_alive=False) == (
        b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    )


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        (b"GET", b"invocation/next", Call("next")),
        (b"POST", b"invocation/a-1/response", Call("response", "a-1")),
        (b"POST", b"invocation/a-1/error?x=1", Call("error", "a-1")),
        (b"POST", b"init/error", Call("init-error")),
        (b"POST", b"invocation/next", 405),
        (b"GET", b"init/error", 405),
        (b"GET", b"invocation/a-1/response", 405),
        (b"POST", b"invocation//response", 404),
        (b"POST", b"invocation/a/b/response", 404),
        (b"GET", b"restore/next", 404),
    ],
)
def test_the_four_calls_are_told_apart(method: bytes, path: bytes, expected: Call | int) -> None:
    found = route(method, b"/2018-06-01/runtime/" + path)
    assert (found.status if isinstance(found, Refusal) else found) == expected


def test_another_version_of_the_interface_is_not_served() -> None:
    assert isinstance(route(b"GET", b"/2020-01-01/runtime/invocation/next"), Refusal)
