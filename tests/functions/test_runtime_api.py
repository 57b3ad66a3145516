"""The Runtime API as hand-written clients see it, honest ones and others. The workers here are this test itself."""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import resource
import socket
import time
from pathlib import Path

import pytest

from edge_agent.domain.function import MAX_PAYLOAD, PoolSpec, RetrySpec
from edge_agent.domain.invocation import Failed, Succeeded
from edge_agent.runtime_api import peers
from edge_agent.runtime_api.http import Request
from edge_agent.runtime_api.peers import Owner, Peers, read_proc
from tests.functions.doors import ROOT, Client, OpenDoors, address, enter, kind, runner
from tests.functions.shelf import Shelf
from tests.waiting import eventually


def test_the_event_comes_with_every_header_of_the_interface(open_shelf: Shelf) -> None:
    client = enter(open_shelf, "pump")
    invocation = open_shelf.send("pump", {"level": 18.2})
    request_id, headers, body = client.next()
    assert body == invocation.event
    assert len(request_id) == 36
    assert headers["Content-Type"] == "application/json"
    assert int(headers["Lambda-Runtime-Deadline-Ms"]) > invocation.created + 29_000
    assert headers["Lambda-Runtime-Invoked-Function-Arn"].endswith(":function:pump")
    assert headers["Lambda-Runtime-Trace-Id"].startswith("Root=1-")
    status, headers, answer = client.call("POST", f"invocation/{request_id}/response", b'{"on":true}')
    assert (status, json.loads(answer)) == (202, {"status": "OK"})
    assert open_shelf.outcome(invocation) == Succeeded(b'{"on":true}')


def test_a_streamed_answer_in_chunks_is_taken_whole(open_shelf: Shelf) -> None:
    client = enter(open_shelf, "pump")
    invocation = open_shelf.send("pump")
    request_id, _, _ = client.next()
    status, _, _ = client.call(
        "POST",
        f"invocation/{request_id}/response",
        iter([b'{"on"', b":", b"true}"]),
        Transfer_Encoding="chunked",
        Content_Type="application/vnd.awslambda.http-integration-response",
        Lambda_Runtime_Function_Response_Mode="streaming",
    )
    assert status == 202
    expected = Succeeded(b'{"on":true}', "application/vnd.awslambda.http-integration-response")
    assert open_shelf.outcome(invocation) == expected


def test_an_error_keeps_type_message_body_and_log(open_shelf: Shelf) -> None:
    client = enter(open_shelf, "pump")
    invocation = open_shelf.send("pump")
    request_id, _, _ = client.next()
    body = b'{"errorMessage":"dry","errorType":"Pump.Dry","stackTrace":["line 1"]}'
    assert client.call("POST", f"invocation/{request_id}/error", body)[0] == 202
    failed = open_shelf.outcome(invocation)
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.reason, failed.error) == ("function-error", "Pump.Dry: dry", body)
    assert failed.log.startswith("printed by pump-")


@pytest.mark.parametrize("document", [b"eyJlcnJvck1lc3NhZ2UiOiAiZHJ5In0=", b"", b"not base64", b"bm8ganNvbg=="])
def test_an_answer_that_breaks_off_is_an_error_however_that_is_put(open_shelf: Shelf, document: bytes) -> None:
    invocation = open_shelf.send("pump")
    client = enter(open_shelf, "pump")
    request_id, _, _ = client.next()
    head = (
        f"POST {ROOT}/invocation/{request_id}/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n"
    )
    trailers = b"Lambda-Runtime-Function-Error-Type: Pump.Dry\r\nLambda-Runtime-Function-Error-Body: %b\r\n\r\n"
    assert raw(open_shelf, "pump", head.encode() + trailers % document).startswith(b"HTTP/1.1 202 ")
    failed = open_shelf.outcome(invocation)
    assert isinstance(failed, Failed)
    assert failed.kind == "function-error"
    assert failed.reason.startswith("Pump.Dry")


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b"\xff", b'{"errorMessage":5}', b"null"])
def test_an_error_that_is_no_document_is_an_error_all_the_same(open_shelf: Shelf, body: bytes) -> None:
    client = enter(open_shelf, "pump")
    invocation = open_shelf.send("pump")
    request_id, _, _ = client.next()
    headers = {"Lambda_Runtime_Function_Error_Type": "Runtime.Odd"}
    assert client.call("POST", f"invocation/{request_id}/error", body, **headers)[0] == 202
    failed = open_shelf.outcome(invocation)
    assert isinstance(failed, Failed)
    assert failed.reason.startswith("Runtime.Odd")


def test_answering_twice_is_refused_and_changes_nothing(open_shelf: Shelf) -> None:
    client = enter(open_shelf, "pump")
    invocation = open_shelf.send("pump")
    request_id, _, _ = client.next()
    assert client.call("POST", f"invocation/{request_id}/response", b"1")[0] == 202
    status, _, body = client.call("POST", f"invocation/{request_id}/response", b"2")
    assert (status, kind(body)) == (403, "InvalidStateTransition")
    assert client.call("POST", f"invocation/{request_id}/error", b"{}")[0] == 403
    assert open_shelf.outcome(invocation) == Succeeded(b"1")
    assert len(open_shelf.settled(invocation)) == 1


def test_another_workers_event_cannot_be_answered(open_shelf: Shelf) -> None:
    pump, lamp = enter(open_shelf, "pump"), enter(open_shelf, "lamp")
    invocation = open_shelf.send("pump")
    request_id, _, _ = pump.next()
    status, _, body = lamp.call("POST", f"invocation/{request_id}/response", b'"stolen"')
    assert (status, kind(body)) == (403, "Forbidden")
    assert lamp.call("POST", f"invocation/{request_id}/error", b"{}")[0] == 403
    assert open_shelf.settled(invocation) == []
    pump.call("POST", f"invocation/{request_id}/response", b'"mine"')
    assert open_shelf.outcome(invocation) == Succeeded(b'"mine"')


def test_another_functions_events_never_come(open_shelf: Shelf) -> None:
    lamp = enter(open_shelf, "lamp")
    for_pump = open_shelf.send("pump", 1)
    for_lamp = open_shelf.send("lamp", 2)
    assert lamp.next()[2] == for_lamp.event
    assert open_shelf.settled(for_pump) == []


def test_an_event_is_to_be_answered_before_the_next(open_shelf: Shelf) -> None:
    client = enter(open_shelf, "pump")
    invocation = open_shelf.send("pump")
    request_id, _, _ = client.next()
    status, _, body = client.call("GET", "invocation/next")
    assert (status, kind(body)) == (403, "InvalidStateTransition")
    client.call("POST", f"invocation/{request_id}/response", b"1")
    assert open_shelf.outcome(invocation) == Succeeded(b"1")


def test_a_fresh_worker_that_asks_a_second_time_is_ended(open_shelf: Shelf) -> None:
    door = address(open_shelf, "fresh")
    client = Client(door)
    open_shelf.send("fresh")
    request_id, _, _ = client.next()
    assert client.call("POST", f"invocation/{request_id}/response", b"1")[0] == 202
    with pytest.raises((OSError, http.client.HTTPException)):
        client.call("GET", "invocation/next")
    eventually(lambda: runner(open_shelf).names[door] in runner(open_shelf).killed)


@pytest.mark.parametrize("made_up", ["00000000-0000-4000-8000-000000000000", "x", "%2e%2e", "a" * 2000])
def test_a_request_id_that_was_never_given_is_invalid(open_shelf: Shelf, made_up: str) -> None:
    status, _, body = enter(open_shelf, "pump").call("POST", f"invocation/{made_up}/response", b"1")
    assert (status, kind(body)) == (400, "InvalidRequestID")


def test_what_is_no_call_of_the_interface_is_not_found(open_shelf: Shelf) -> None:
    client = enter(open_shelf, "pump")
    assert client.call("GET", "restore/next")[0] == 404
    assert client.call("POST", "invocation/next", b"")[0] == 405


def test_a_late_answer_to_the_first_attempt_does_not_settle_the_second(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, runner=lambda _loop, server, engine: OpenDoors(server, engine))
    shelf.declare("slow", isolation="shared", timeout=0.3, pool=PoolSpec(1, 2), retry=RetrySpec(attempts=2))
    shelf.start()
    try:
        first_door = address(shelf, "slow")
        first = Client(first_door)
        invocation = shelf.send("slow")
        first_id, _, _ = first.next()
        second_door = eventually(lambda: [d for d in runner(shelf).addresses["slow"] if d != first_door])[0]
        second = Client(second_door)
        second_id, _, _ = second.next()
        assert second_id != first_id
        assert second.call("POST", f"invocation/{first_id}/response", b'"late"')[0] == 400
        assert [settled.state for settled in shelf.settled(invocation)] == ["waiting"]
        assert second.call("POST", f"invocation/{second_id}/response", b'"in time"')[0] == 202
        assert shelf.outcome(invocation) == Succeeded(b'"in time"')
    finally:
        shelf.stop()


def test_an_answer_too_large_is_refused_as_aws_does_and_the_worker_goes_on(open_shelf: Shelf) -> None:
    client = enter(open_shelf, "pump")
    large, small = open_shelf.send("pump"), open_shelf.send("pump")
    request_id, _, _ = client.next()
    status, _, body = client.call("POST", f"invocation/{request_id}/response", b"x" * (MAX_PAYLOAD + 1))
    assert (status, kind(body)) == (413, "RequestEntityTooLarge")
    request_id, _, _ = client.next()
    assert client.call("POST", f"invocation/{request_id}/response", b"x" * MAX_PAYLOAD)[0] == 202
    failed = open_shelf.outcome(large)
    assert isinstance(failed, Failed)
    assert failed.kind == "oversize"
    assert isinstance(open_shelf.outcome(small), Succeeded)


def test_an_initialisation_error_is_the_reason_and_ends_the_worker(open_shelf: Shelf) -> None:
    door = address(open_shelf, "pump")
    body = b'{"errorMessage":"no driver","errorType":"Runtime.ImportModuleError"}'
    assert Client(door).call("POST", "init/error", body)[0] == 202
    said = "its initialisation failed: Runtime.ImportModuleError: no driver"
    eventually(lambda: said in open_shelf.engine.status()["pump"]["last_error"])
    eventually(lambda: runner(open_shelf).names[door] in runner(open_shelf).killed)


def test_an_initialisation_error_after_work_has_begun_is_refused(open_shelf: Shelf) -> None:
    client = enter(open_shelf, "pump")
    open_shelf.send("pump")
    client.next()
    assert client.call("POST", "init/error", b"{}")[0] == 403


def test_a_worker_that_comes_back_after_its_connection_broke_is_served(open_shelf: Shelf) -> None:
    door = address(open_shelf, "pump")
    broken = Client(door)
    broken.connection.request("GET", f"{ROOT}/invocation/next")
    open_shelf.idle("pump")
    broken.connection.close()
    eventually(lambda: open_shelf.engine.status()["pump"]["workers"]["idle"] == 0)
    invocation = open_shelf.send("pump")
    client = Client(door)
    request_id, _, _ = client.next()
    client.call("POST", f"invocation/{request_id}/response", b"1")
    assert open_shelf.outcome(invocation) == Succeeded(b"1")
    assert open_shelf.end(invocation).attempt.number == 1


def test_a_second_connection_that_asks_takes_over_from_the_first(open_shelf: Shelf) -> None:
    door = address(open_shelf, "pump")
    first, second = Client(door), Client(door)
    first.connection.request("GET", f"{ROOT}/invocation/next")
    open_shelf.idle("pump")
    second.connection.request("GET", f"{ROOT}/invocation/next")
    third = Client(door)
    assert third.call("GET", "nothing")[0] == 404  # answered in order: the second is waiting by now
    first.connection.close()
    invocation = open_shelf.send("pump")
    response = second.connection.getresponse()
    assert response.read() == invocation.event


def raw(shelf: Shelf, function: str, data: bytes) -> bytes:
    host, _, port = address(shelf, function).partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
        return answer


def test_nonsense_is_answered_and_the_connection_closed(open_shelf: Shelf) -> None:
    answer = raw(open_shelf, "pump", b"\x16\x03\x01\x02\x00\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Connection: close" in answer


def test_an_old_client_gets_its_event_and_the_end_of_the_connection(open_shelf: Shelf) -> None:
    host, _, port = address(open_shelf, "pump").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as sock:
        sock.sendall(f"GET {ROOT}/invocation/next HTTP/1.0\r\n\r\n".encode())
        open_shelf.idle("pump")
        invocation = open_shelf.send("pump", "x" * 100_000)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(invocation.event)


def test_a_client_that_expects_a_hundred_gets_it(open_shelf: Shelf) -> None:
    host, _, port = address(open_shelf, "pump").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as sock:
        head = f"POST {ROOT}/invocation/x/response HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        sock.sendall(head.encode())
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"{}")
        assert sock.recv(100).startswith(b"HTTP/1.1 400 ")


def test_the_interface_listens_on_loopback_only(open_shelf: Shelf) -> None:
    host, _, _ = address(open_shelf, "pump").partition(":")
    assert ipaddress.IPv4Address(host).is_loopback


def test_each_worker_has_an_address_of_its_own_because_a_port_rests_for_a_minute_after_its_use(
    open_shelf: Shelf,
) -> None:
    hosts = {address(open_shelf, function).partition(":")[0] for function in ("pump", "lamp", "fresh")}
    assert len(hosts) == 3


def test_the_kernel_says_who_is_at_the_other_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, peer = server.accept()
        with accepted:
            asked = Peers()
            found = asked._ask(peer, server.getsockname())
            assert found == read_proc(peer, server.getsockname())
            assert found == Owner(os.getuid(), os.fstat(client.fileno()).st_ino)
            with pytest.raises(FileNotFoundError):
                asked._ask(peer, ("127.0.0.1", 1))
            assert asked.owner(peer, ("127.0.0.1", 1)) is None
            asked.close()
            assert client.getsockname() == peer


def test_where_the_kernel_says_nothing_that_is_said_and_not_taken_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "PROC", tmp_path / "missing")
    with pytest.raises(peers.Unknowable, match="missing can be read"):
        peers.read_proc(("127.0.0.1", 1), ("127.0.0.1", 2))


def test_one_address_can_serve_many_workers_that_are_told_apart_by_their_host(open_shelf: Shelf) -> None:
    """How pods will ask: a random name per worker, bound to the address it is used from."""
    own = {address(open_shelf, name): name for name in ("pump", "lamp")}
    tokens = {f"{name}-token": runner(open_shelf).names[door] for door, name in own.items()}

    def identify(peer: tuple[str, int], request: Request) -> str | None:
        host = request.headers.get(b"host", b"").decode().partition(":")[0]
        token, _, domain = host.partition(".")
        return tokens.get(token) if domain == "worker.edge.internal" and peer[0] == "127.0.0.1" else None

    host, port = open_shelf.loop.ask(lambda: open_shelf.server.listen(("127.0.0.1", 0), identify))
    pump, lamp, stranger = (Client(f"{host}:{port}") for _ in range(3))
    for_lamp, for_pump = open_shelf.send("lamp"), open_shelf.send("pump")
    names = {"Host": f"pump-token.worker.edge.internal:{port}"}, {"Host": f"lamp-token.worker.edge.internal:{port}"}
    assert pump.call("GET", "invocation/next", **names[0])[2] == for_pump.event
    assert lamp.call("GET", "invocation/next", **names[1])[2] == for_lamp.event
    status, _, body = stranger.call("GET", "invocation/next", Host=f"guess.worker.edge.internal:{port}")
    assert (status, kind(body)) == (403, "Forbidden")


def test_without_a_file_descriptor_left_the_engine_neither_spins_nor_dies(open_shelf: Shelf) -> None:
    door = address(open_shelf, "pump")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    client = Client(door)
    sock = socket.socket()
    sock.setblocking(True)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (sock.fileno() + 1, hard))
        sock.connect((client.connection.host, client.connection.port))  # the kernel takes it; the engine cannot yet
        turns: list[int] = []
        open_shelf.loop.ask(lambda: open_shelf.loop.after.append(lambda: turns.append(1)))
        time.sleep(0.3)
        assert len(turns) < 50
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    invocation = open_shelf.send("pump", 1)
    sock.sendall(f"GET {ROOT}/invocation/next HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert sock.recv(65536).endswith(invocation.event)
    sock.close()


def test_another_user_of_the_machine_gets_nothing(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, runner=lambda _loop, server, engine: OpenDoors(server, engine), worker_uid=os.getuid() + 1)
    shelf.declare("pump", isolation="shared", pool=PoolSpec(1, 1))
    shelf.start()
    try:
        invocation = shelf.send("pump", "secret")
        status, _, body = enter(shelf, "pump").call("GET", "invocation/next")
        assert (status, kind(body)) == (403, "Forbidden")
        assert b"secret" not in body
        assert shelf.settled(invocation) == []
    finally:
        shelf.stop()
