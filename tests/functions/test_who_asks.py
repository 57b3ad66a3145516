"""Workers, and strangers, that try for more than is theirs: another's event, another's answer, another's patience."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from edge_agent.domain.function import MAX_PAYLOAD, MiB, PoolSpec, RetrySpec
from edge_agent.domain.invocation import Failed, Succeeded
from edge_agent.runtime_api.http import Request
from edge_agent.runtime_api.server import MOST_CONNECTIONS
from edge_agent.runtime_api.visitors import holds
from tests.functions.doors import ROOT, Client, OpenDoors, address, enter, kind, runner
from tests.functions.shelf import Shelf
from tests.waiting import eventually

NEXT = f"GET {ROOT}/invocation/next HTTP/1.1\r\nHost: a\r\n\r\n".encode()
NOBODY = 65534
"""A user that every Linux has and that owns nothing."""

THIEF = """
import http.client
def main(event, context):
    def ask(method, path):
        connection = http.client.HTTPConnection(event["data"], timeout=10)
        connection.request(method, "/2018-06-01/runtime/" + path, b"{}" if method == "POST" else None)
        return connection.getresponse().status
    return [ask("GET", "invocation/next"), ask("POST", "init/error"), ask("POST", "invocation/guessed/response")]
"""


def connect(door: str) -> socket.socket:
    host, _, port = door.partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def response(request_id: str, rest: str) -> bytes:
    """A response, from its headers on as `rest` says."""
    return f"POST {ROOT}/invocation/{request_id}/response HTTP/1.1\r\n{rest}".encode()


def said(sock: socket.socket, end: bytes) -> bytes:
    """What comes, up to these bytes."""
    heard = b""
    while not heard.endswith(end):
        piece = sock.recv(65536)
        assert piece, heard
        heard += piece
    return heard


def test_a_worker_at_anothers_door_is_turned_away_and_the_other_gets_its_event(shelf: Shelf) -> None:
    shelf.python("thief", THIEF, isolation="shared")
    shelf.python(
        "owner", "def main(event, context):\n    return event['data']\n", isolation="shared", pool=PoolSpec(1, 1)
    )
    shelf.start()
    shelf.idle("owner")
    doors = shelf.server._doors
    (door,) = (door.address for worker_id, door in doors.items() if worker_id.startswith("owner-"))
    assert shelf.answer("thief", f"{door[0]}:{door[1]}") == [403, 403, 400]
    assert shelf.answer("owner", "mine") == "mine"
    assert shelf.engine.stats.starts["owner"] == 1


def test_what_a_worker_starts_asks_for_it(shelf: Shelf) -> None:
    """Here a shell in a shell, whose wget is what asks."""
    shelf.shell("nested", "echo 1")
    shelf.declare("nested", command=("sh", "-c", "sh -c ./nested; true"))
    shelf.start()
    assert shelf.answer("nested") == 1


def test_only_the_process_that_was_said_to_be_the_worker_may_ask(open_shelf: Shelf) -> None:
    door = address(open_shelf, "pump")
    other = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        open_shelf.loop.ask(lambda: open_shelf.server.expect(runner(open_shelf).names[door], other.pid))
        status, _, body = Client(door).call("GET", "invocation/next")
        assert (status, kind(body)) == (403, "Forbidden")
        open_shelf.loop.ask(lambda: open_shelf.server.expect(runner(open_shelf).names[door], os.getpid()))
        invocation = open_shelf.send("pump")
        assert Client(door).next()[2] == invocation.event
    finally:
        other.kill()
        other.wait()


def test_a_socket_is_found_with_the_worker_its_children_and_its_session_only() -> None:
    with socket.socket() as mine:
        inode = os.fstat(mine.fileno()).st_ino
        assert holds(os.getpid(), inode)
        assert not holds(os.getpid(), inode + 10_000_000)
        child = subprocess.Popen(["sleep", "1000"], pass_fds=[mine.fileno()], start_new_session=True)
        try:
            mine.close()
            assert holds(os.getpid(), inode)  # it is a child's now
            assert holds(child.pid, inode)
        finally:
            child.kill()
            child.wait()
        assert not holds(child.pid, inode)


def test_a_stranger_of_another_user_is_turned_away(tmp_path: Path) -> None:
    """As root a process of another user asks. Anybody else cannot start one: then it is the workers who are of another."""
    root = os.getuid() == 0
    uid = 0 if root else os.getuid() + 1
    shelf = Shelf(tmp_path, runner=lambda _loop, server, engine: OpenDoors(server, engine), worker_uid=uid)
    shelf.declare("pump", isolation="shared", pool=PoolSpec(1, 1))
    shelf.start()
    try:
        url = f"http://{address(shelf, 'pump')}{ROOT}"
        asked = [f"{url}/invocation/next"], ["--post-data", "{}", f"{url}/init/error"]
        invocation = shelf.send("pump", "secret")
        for words in asked:
            done = subprocess.run(
                ["busybox", "wget", "-q", "-O", "-", *words],
                user=NOBODY if root else None, capture_output=True, check=False, timeout=20,
            )  # fmt: skip
            assert b"403" in done.stderr
            assert b"secret" not in done.stdout
        assert shelf.settled(invocation) == []
        assert shelf.engine.stats.start_failures["pump"] == 0
    finally:
        shelf.stop()


def test_a_stranger_that_has_hung_up_before_it_is_looked_at_changes_nothing(open_shelf: Shelf) -> None:
    door = address(open_shelf, "pump")

    def knock_and_run() -> None:  # on the loop, which so cannot look before all of it is over
        for words in (f"POST {ROOT}/init/error HTTP/1.1\r\nContent-Length: 2\r\n\r\n{{}}", NEXT.decode()):
            with connect(door) as sock:
                sock.sendall(words.encode())

    invocation = open_shelf.send("pump")
    open_shelf.loop.ask(knock_and_run)
    assert enter(open_shelf, "pump").next()[2] == invocation.event
    assert open_shelf.engine.status()["pump"]["last_error"] == ""
    assert address(open_shelf, "pump") == door


def test_the_last_words_of_a_worker_that_has_hung_up_count(open_shelf: Shelf) -> None:
    door = address(open_shelf, "pump")
    invocation = open_shelf.send("pump")
    request_id, _, _ = Client(door).next()

    def answer_and_run() -> None:
        with connect(door) as sock:
            sock.sendall(response(request_id, "Content-Length: 1\r\n\r\n1"))

    open_shelf.loop.ask(answer_and_run)
    assert open_shelf.outcome(invocation) == Succeeded(b"1")


def test_an_answer_to_an_event_does_not_make_a_stranger_the_worker(open_shelf: Shelf) -> None:
    """It has the request id from somewhere; its event is settled, but what it asks next is refused."""
    door = address(open_shelf, "pump")
    invocation = open_shelf.send("pump")
    request_id, _, _ = Client(door).next()
    other = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        open_shelf.loop.ask(lambda: open_shelf.server.expect(runner(open_shelf).names[door], other.pid))
        stranger = Client(door)
        assert stranger.call("POST", f"invocation/{request_id}/response", b"1")[0] == 202
        assert stranger.call("GET", "invocation/next")[0] == 403
        assert open_shelf.outcome(invocation) == Succeeded(b"1")
    finally:
        other.kill()
        other.wait()


def test_silent_connections_do_not_keep_the_worker_out(open_shelf: Shelf) -> None:
    door = address(open_shelf, "pump")
    silent = [connect(door) for _ in range(3 * MOST_CONNECTIONS)]
    for number, sock in enumerate(silent):
        if number % 2:
            sock.sendall(b"GET /2018-06-01/run")  # and half a request
    invocation = open_shelf.send("pump")
    client = Client(door)
    request_id, _, _ = client.next()
    assert client.call("POST", f"invocation/{request_id}/response", b"1")[0] == 202
    assert open_shelf.outcome(invocation) == Succeeded(b"1")
    for sock in silent:
        sock.close()


def test_half_a_request_is_no_request(open_shelf: Shelf) -> None:
    door = address(open_shelf, "pump")
    invocation = open_shelf.send("pump")
    client = Client(door)
    request_id, _, _ = client.next()
    with connect(door) as sock:
        sock.sendall(response(request_id, "Content-Length: 3\r\n\r\n12"))
    with connect(door) as sock:
        sock.sendall(response(request_id, "Transfer-Encoding: chunked\r\n\r\n2\r\n12"))
    assert client.call("POST", f"invocation/{request_id}/response", b"3")[0] == 202
    assert open_shelf.outcome(invocation) == Succeeded(b"3")


def test_a_request_ahead_of_its_turn_is_answered_in_its_turn(open_shelf: Shelf) -> None:
    with connect(address(open_shelf, "pump")) as sock:
        sock.sendall(NEXT + NEXT.replace(b"invocation/next", b"nothing"))
        open_shelf.idle("pump")
        invocation = open_shelf.send("pump", "first")
        heard = said(sock, b"}")
        if b" 404 " not in heard:
            heard += said(sock, b"}")
        assert heard.startswith(b"HTTP/1.1 200 ")
        assert heard.index(invocation.event) < heard.index(b"HTTP/1.1 404 ")


def test_an_answer_and_the_next_question_may_come_in_one_piece(open_shelf: Shelf) -> None:
    first, second = open_shelf.send("pump", 1), open_shelf.send("pump", 2)
    with connect(address(open_shelf, "pump")) as sock:
        sock.sendall(NEXT)
        heard = said(sock, first.event)
        request_id = heard.partition(b"Request-Id: ")[2].partition(b"\r\n")[0].decode()
        sock.sendall(response(request_id, "Content-Length: 1\r\n\r\n1") + NEXT)
        heard = said(sock, second.event)
    assert heard.startswith(b"HTTP/1.1 202 ")
    assert open_shelf.outcome(first) == Succeeded(b"1")


def test_what_a_worker_has_us_hold_is_bounded(open_shelf: Shelf) -> None:
    door = address(open_shelf, "pump")
    invocation = open_shelf.send("pump")
    client = Client(door)
    request_id, _, _ = client.next()
    size = MAX_PAYLOAD - MiB
    head = response(request_id, f"Content-Length: {size}\r\n\r\n")
    large = [connect(door) for _ in range(4)]
    for sock in large:
        sock.sendall(head + bytes(size - 1))
    heard = large[-1].recv(65536) + large[-2].recv(65536)
    assert heard.count(b"HTTP/1.1 413 ") == 2
    assert client.call("POST", f"invocation/{request_id}/response", b"1")[0] == 202
    assert open_shelf.outcome(invocation) == Succeeded(b"1")
    for sock in large:
        sock.close()


def test_a_name_counts_for_the_request_that_bears_it_and_from_its_own_address_only(open_shelf: Shelf) -> None:
    own = {address(open_shelf, name): name for name in ("pump", "lamp")}
    names = {f"{name}-token": runner(open_shelf).names[door] for door, name in own.items()}

    def identify(peer: tuple[str, int], request: Request) -> str | None:
        token, _, domain = request.headers.get(b"host", b"").decode().partition(".")
        at_home = peer[0] == ("127.0.0.2" if token == "lamp-token" else "127.0.0.1")
        return names.get(token) if at_home and domain.startswith("worker.edge.internal") else None

    host, port = open_shelf.loop.ask(lambda: open_shelf.server.listen(("127.0.0.1", 0), identify))
    client = Client(f"{host}:{port}")
    invocation = open_shelf.send("pump")
    pump = {"Host": f"pump-token.worker.edge.internal:{port}"}
    status, headers, body = client.call("GET", "invocation/next", **pump)
    assert (status, body) == (200, invocation.event)
    path = f"invocation/{headers['Lambda-Runtime-Aws-Request-Id']}/response"
    lamp = {"Host": f"lamp-token.worker.edge.internal:{port}"}
    for forged in (lamp, {"Host": "guess.worker.edge.internal"}, {"Host": "pump-token.example.org"}):
        assert Client(f"{host}:{port}").call("POST", path, b"1", **forged)[0] == 403
    assert client.call("POST", path, b"2", **pump)[0] == 202  # the same connection, which bears a name each time
    assert client.call("GET", "invocation/next", **lamp)[0] == 403
    assert open_shelf.outcome(invocation) == Succeeded(b"2")


def test_one_of_many_workers_cannot_take_all_connections(open_shelf: Shelf) -> None:
    door = address(open_shelf, "pump")
    name = runner(open_shelf).names[door]
    host, port = open_shelf.loop.ask(lambda: open_shelf.server.listen(("127.0.0.1", 0), lambda _peer, _request: name))
    clients = [Client(f"{host}:{port}") for _ in range(MOST_CONNECTIONS + 1)]
    told = [client.call("GET", "nothing")[0] for client in clients]
    assert told == [404] * MOST_CONNECTIONS + [403]


def test_an_answer_after_its_time_is_over_changes_nothing(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, runner=lambda _loop, server, engine: OpenDoors(server, engine))
    shelf.declare("slow", isolation="shared", timeout=0.3, pool=PoolSpec(1, 1), retry=RetrySpec(attempts=1))
    shelf.start()
    try:
        client = enter(shelf, "slow")
        invocation = shelf.send("slow")
        request_id, _, _ = client.next()
        failed = shelf.outcome(invocation)
        assert isinstance(failed, Failed)
        assert failed.kind == "timeout"
        with pytest.raises(OSError):
            client.call("POST", f"invocation/{request_id}/response", b'"late"')
        eventually(lambda: len(runner(shelf).addresses["slow"]) == 2)
        late = Client(runner(shelf).addresses["slow"][1])
        status, _, body = late.call("POST", f"invocation/{request_id}/response", b'"late"')
        assert (status, kind(body)) == (400, "InvalidRequestID")
        assert len(shelf.settled(invocation)) == 1
    finally:
        shelf.stop()
