"""The server: nobody is starved, nobody waits for a stop, and the socket is the owner's alone."""

from __future__ import annotations

import json
import os
import socket
import ssl
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
import trustme
from cheroot.connections import ConnectionManager
from flask import Flask

from edge_agent.web.accounts import Accounts
from edge_agent.web.listening import connect_unix, listen_unix
from edge_agent.web.server import Server
from tests.waiting import eventually


def connect(server: str) -> socket.socket:
    host, _, port = server.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


@contextmanager
def stream(client: httpx.Client) -> Iterator[httpx.Response]:
    with client.stream("GET", "/api/v1/events") as response:
        yield response


def ask(channel: socket.socket, request: bytes) -> bytes:
    channel.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = channel.recv(65536)
        if not data:
            break
        answer += data
    return answer


def open_streams(stack: ExitStack, caller: httpx.Client, count: int) -> list[Iterator[bytes]]:
    """Event streams that have said hello."""
    opened = [stack.enter_context(stream(caller)).iter_bytes() for _ in range(count)]
    assert all(b"event: hello" in next(chunks) for chunks in opened)
    stack.callback(opened.clear)  # held until then: an iterator nobody holds closes its connection
    return opened


def test_health_is_answered_while_every_stream_is_taken_and_slow_clients_hold_every_connection(server, caller, app):
    with ExitStack() as stack:
        open_streams(stack, caller, 4)
        assert app.extensions["edge.streams"].open == 4
        for number in range(120):
            slow = stack.enter_context(connect(server))
            slow.sendall(b"GET /api/v1/devices HTTP/1.1\r\nHost: 127.0.0.1\r\n" if number % 2 else b"POST ")
        assert httpx.get(f"{server}/healthz", timeout=5).text == "ok\n"
        assert caller.get("/readyz").status_code == 200
        assert caller.get("/metrics").status_code == 200
        assert caller.get("/api/v1/status").status_code == 200


def test_a_slow_body_takes_no_place_either(server, caller):
    with ExitStack() as stack:
        for _ in range(30):
            slow = stack.enter_context(connect(server))
            slow.sendall(b"POST /signin HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4000\r\n\r\n{")
        assert caller.get("/api/v1/status").status_code == 200


def test_more_connections_than_there_is_room_for_push_out_the_ones_that_say_nothing(server, caller):
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(server)) for _ in range(300)]
        assert eventually(lambda: httpx.get(f"{server}/healthz", timeout=5).status_code == 200)
        assert eventually(lambda: silent[0].recv(1) == b"", timeout=5), "the first to be silent was let go"


def test_the_stream_that_is_one_too_many_is_told_when_to_come_back(server, caller):
    with ExitStack() as stack:
        open_streams(stack, caller, 4)
        refused = caller.get("/api/v1/events")
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert refused.headers["Content-Type"] == "application/problem+json"


def test_a_stream_whose_reader_has_left_gives_its_place_back_without_waiting_for_news(server, caller, app):
    streams = app.extensions["edge.streams"]
    with ExitStack() as stack:
        open_streams(stack, caller, 4)
        assert streams.open == 4
    assert eventually(lambda: streams.open == 0, timeout=10)
    assert eventually(lambda: app.extensions["edge.desk"].appliance.queues == [], timeout=5)


def test_stopping_does_not_wait_for_open_streams_or_slow_clients(app, accounts, tmp_path):
    running = Server(app, "127.0.0.1", 0, tmp_path / "agent.sock")
    server = f"http://127.0.0.1:{running.start()}"
    token = accounts.create_token("t", ["read"])
    with ExitStack() as stack:
        client = stack.enter_context(httpx.Client(base_url=server, headers={"Authorization": f"Bearer {token}"}))
        (opened,) = open_streams(stack, client, 1)
        stack.enter_context(connect(server)).sendall(b"GET / HT")
        stopped = threading.Thread(target=running.stop)
        stopped.start()
        for _ in opened:
            pass  # the stream ends by itself, cleanly
        stopped.join(10)
        assert not stopped.is_alive()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("web-")]
    assert not (tmp_path / "agent.sock").exists()


def test_a_taken_port_is_an_error_and_nothing_is_left_open(app, server, tmp_path):
    port = int(server.rpartition(":")[2])
    with pytest.raises(OSError, match="Address already in use"):
        Server(app, "127.0.0.1", port).start()


def test_keep_alive_and_pipelined_requests_are_answered_in_order(server):
    with connect(server) as channel:
        request = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        assert b"200 OK" in ask(channel, request)
        channel.sendall(b"GET /signin HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + request)
        answers = b""
        while answers.count(b"HTTP/1.1 200 OK") < 2:
            answers += channel.recv(65536)
        assert answers.endswith(b"\r\n\r\nok\n"), "a short answer comes in one piece, the last one last"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: -1",
        b"Content-Length: 1_0",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Content-Length: 99999999999",
    ],
)
def test_lengths_that_mean_nothing_good_are_refused_at_once(server, head):
    with connect(server) as channel:
        answer = ask(channel, b"POST /signin HTTP/1.1\r\nHost: 127.0.0.1\r\n" + head + b"\r\n\r\n")
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))


def test_a_head_without_end_is_refused(server):
    with connect(server) as channel:
        answer = ask(channel, b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000)
    assert answer.startswith((b"HTTP/1.1 413", b"HTTP/1.1 414"))


def test_a_body_that_is_too_long_gets_to_see_why(server, caller):
    answer = caller.post(
        "/api/v1/devices/tank-1/readings", content=b" " * 100_000, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413
    assert answer.json()["status"] == 413


def test_slashes_in_ids_may_be_quoted(server, caller, tank_low):
    caller.put("/api/v1/rules/tank-low", json=tank_low)
    caller.post("/api/v1/devices/tank-1/readings", json={"readings": {"level": 10}})
    alert = eventually(lambda: caller.get("/api/v1/alerts").json()["items"])[0]
    quoted = alert["id"].replace("/", "%2F")
    assert caller.post(f"/api/v1/alerts/{quoted}/ack").json()["acked_by"] == "caller"
    assert caller.post(f"/api/v1/alerts/{alert['id']}/ack").status_code == 200


def test_the_unix_socket_is_its_owners_alone_and_makes_them_admin(server, tmp_path):
    path = tmp_path / "agent.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with httpx.Client(transport=httpx.HTTPTransport(uds=_short(path)), base_url="http://agent") as client:
        assert client.get("/api/v1/session").json() == {
            "name": "root" if os.getuid() == 0 else "agent",
            "kind": "socket",
            "scopes": ["admin"],
        }
        assert client.get("/readyz").status_code == 200
        assert client.post("/api/v1/signin-links").status_code == 201


def test_nobody_becomes_admin_by_sending_the_sockets_headers_over_the_network(server):
    answer = httpx.get(f"{server}/api/v1/session", headers={"X-Remote-Uid": "0", "X_REMOTE_UID": "0"})
    assert answer.status_code == 401


def test_a_socket_left_by_a_dead_agent_is_replaced_and_a_living_one_is_not(tmp_path):
    path = tmp_path / ("long-" * 30) / "agent.sock"
    path.parent.mkdir(parents=True)
    first = listen_unix(path)
    with pytest.raises(OSError, match="another agent"):
        listen_unix(path)
    first.close()
    second = listen_unix(path)
    connect_unix(path).close()
    second.close()


@pytest.fixture
def tls(app: Flask, tmp_path: Path) -> Iterator[tuple[int, ssl.SSLContext]]:
    ca = trustme.CA()
    certificate = ca.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    trust = ssl.create_default_context()
    ca.configure_trust(trust)
    running = Server(app, "127.0.0.1", 0, certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    yield running.start(), trust
    running.stop()


def test_https_with_keep_alive_big_bodies_and_a_cookie_only_https_may_see(tls, accounts: Accounts):
    port, trust = tls
    token = accounts.create_token("t", ["admin"])
    with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trust) as client:
        signed = client.post("/signin", json={"link": accounts.create_link()}, headers={"X-Edge-Request": "1"})
        assert signed.status_code == 200
        cookie = signed.headers["Set-Cookie"]
        assert cookie.startswith("__Host-edge_session=")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Strict"} <= set(cookie.split("; "))
        assert client.get("/api/v1/session").json()["kind"] == "session"
        sample = json.dumps({"readings": {"level": 1.5}}) + " " * 60_000
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        for _ in range(3):
            assert client.post("/api/v1/devices/tank-1/readings", content=sample, headers=headers).status_code == 202


def test_clients_that_never_finish_their_tls_handshake_hold_up_nobody(tls):
    port, trust = tls
    with ExitStack() as stack:
        for number in range(40):
            silent = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            if number % 2:
                silent.sendall(b"\x16\x03\x01")
        assert httpx.get(f"https://127.0.0.1:{port}/healthz", verify=trust, timeout=5).text == "ok\n"


def test_plain_http_sent_to_the_https_port_is_hung_up_on(tls):
    port, _ = tls
    with socket.create_connection(("127.0.0.1", port), timeout=5) as channel:
        channel.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert not channel.recv(65536).startswith(b"HTTP")


def test_the_private_names_of_cheroot_we_lean_on_are_there():
    for name in ("_run", "_expire", "_from_server_socket", "_num_connections"):
        assert hasattr(ConnectionManager, name)


def _short(path: Path) -> str:
    """A path httpx can connect to, however long pytest's folder is."""
    if len(str(path)) < 100:
        return str(path)
    folder = os.open(path.parent, os.O_PATH)
    return f"/proc/self/fd/{folder}/{path.name}"
