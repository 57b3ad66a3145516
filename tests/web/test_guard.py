"""The guard: names, origins, limits. Each test is an attack that must not work, or a user who must not be turned away."""

from __future__ import annotations

import logging

import pytest

from edge_agent.web.application import create_app
from edge_agent.web.buckets import Buckets, Rate
from edge_agent.web.guard import Limits
from tests.web.conftest import Visitor

OWN = {"X-Edge-Request": "1"}


@pytest.fixture
def browser(app, accounts):
    """Signed in by a link."""
    client = app.test_client()
    assert client.post("/signin", json={"link": accounts.create_link(["operate"])}, headers=OWN).status_code == 200
    return client


def test_everything_but_health_and_the_sign_in_page_needs_somebody(app, visitor):
    stranger = visitor()
    open_routes = set()
    for rule in app.url_map.iter_rules():
        path = rule.rule.replace("<name>", "page.css")
        for argument in rule.arguments:
            path = path.replace(f"<{argument}>", "x").replace(f"<event:{argument}>", "x/1")
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            if stranger(method, path).status_code not in (401, 429):
                open_routes.add(f"{method} {rule.rule}")
        app.extensions["edge.guard"]._unknown._levels.clear()
    assert open_routes == {
        "GET /healthz",
        "GET /signin",
        "POST /signin",
        "POST /signout",
        "GET /static/<name>",
        "GET /",
    }
    assert stranger("GET", "/").headers["Location"] == "/signin"
    assert stranger("GET", "/no-such-thing").status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "192.168.1.9:8080", "", "a b", "0.0.0.0:8080"]
)
def test_a_name_we_do_not_have_is_not_answered(visitor, host):
    reader = visitor("read")
    answer = reader("GET", "/api/v1/status", headers={"Host": host})
    assert answer.status_code == 421
    assert answer.content_type == "application/problem+json"
    assert reader("GET", "/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "shelf.example", "shelf.example."]
)
def test_our_own_names_are_answered(visitor, host):
    assert visitor("read")("GET", "/api/v1/status", headers={"Host": host}).status_code == 200


def test_the_address_we_were_reached_at_is_our_name(app, visitor):
    for local, host in [
        ("192.168.1.9", "192.168.1.9:8080"),
        ("fe80::1%eth0", "[fe80::1]"),
        ("::ffff:192.168.1.9", "192.168.1.9"),
    ]:
        answer = visitor("read")(
            "GET", "/api/v1/status", headers={"Host": host}, environ_overrides={"edge.local_address": local}
        )
        assert answer.status_code == 200, host


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {**OWN, "Origin": "https://evil.example"},
        {**OWN, "Origin": "null"},
        {**OWN, "Origin": "http://localhost:9999"},
        {**OWN, "Sec-Fetch-Site": "cross-site"},
        {**OWN, "Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_site_cannot_act_with_our_cookie(browser, headers):
    answer = browser.post("/api/v1/alerts/test", headers=headers)
    assert answer.status_code == 403


def test_our_own_page_can(browser):
    headers = {**OWN, "Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert browser.post("/api/v1/alerts/test", headers=headers).status_code == 202
    assert browser.get("/api/v1/session").json == {"name": "owner", "kind": "session", "scopes": ["operate"]}


def test_signing_out_ends_the_session_and_not_only_the_cookie(app, browser, accounts):
    cookie = browser.get_cookie("edge_session").value
    assert browser.post("/signout").status_code == 403, "not for another site to do"
    assert browser.post("/signout", headers=OWN).status_code == 204
    assert accounts.session(cookie) is None
    assert browser.get("/api/v1/session").status_code == 401


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(app, accounts):
    answer = app.test_client().post("/signin", json={"link": accounts.create_link()}, headers=OWN)
    parts = set(answer.headers["Set-Cookie"].split("; "))
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= parts


def test_wrong_passwords_and_links_are_slowed_down_and_then_right_ones_too(app, accounts):
    accounts.add_user("ada", "correct horse battery")
    client = app.test_client()
    for attempt in range(5):
        body = {"user": "ada", "password": f"guess {attempt}"} if attempt % 2 else {"link": f"guess-{attempt}"}
        assert client.post("/signin", json=body, headers=OWN).status_code == 401
    right = {"user": "ada", "password": "correct horse battery"}
    refused = client.post("/signin", json=right, headers=OWN)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) >= 1
    other = {"REMOTE_ADDR": "192.0.2.9"}
    assert client.post("/signin", json=right, headers=OWN, environ_overrides=other).status_code == 200


def test_a_client_that_asks_too_much_is_told_to_wait_and_the_others_are_not(appliance, accounts):
    limits = Limits(known=Rate(1.0, 3.0), unknown=Rate(1.0, 2.0))
    app = create_app(appliance, accounts, limits=limits, monotonic=lambda: 0.0)
    greedy = Visitor(app, accounts.create_token("greedy", ["read"]))
    modest = Visitor(app, accounts.create_token("modest", ["read"]))
    assert [greedy("GET", "/api/v1/status").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert greedy("GET", "/api/v1/status").headers["Retry-After"] == "1"
    assert modest("GET", "/api/v1/status").status_code == 200
    guessing = [Visitor(app, f"guess-{n}")("GET", "/api/v1/status").status_code for n in range(4)]
    assert guessing == [401, 401, 429, 429]


def test_the_table_of_clients_does_not_grow_with_the_clients():
    buckets = Buckets(Rate(1.0, 1.0), lambda: 0.0, most=10)
    assert [buckets.take(str(number)) for number in range(100)] == [0.0] * 100
    assert len(buckets._levels) == 10
    assert buckets.take("99") == 1.0


def test_a_bucket_fills_with_time():
    moment = [0.0]
    buckets = Buckets(Rate(2.0, 2.0), lambda: moment[0])
    assert [buckets.take("a") for _ in range(3)] == [0.0, 0.0, 0.5]
    moment[0] = 0.5
    assert [buckets.take("a") for _ in range(2)] == [0.0, 0.5]


def test_scopes_are_kept(visitor):
    assert visitor("ingest")("GET", "/api/v1/status").status_code == 403
    assert visitor("read")("POST", "/api/v1/alerts/test").status_code == 403
    assert visitor("operate")("DELETE", "/api/v1/devices/tank-1").status_code == 403
    body = {"json": {"readings": {"level": 1}}}
    assert visitor("ingest:tank-1")("POST", "/api/v1/devices/tank-2/readings", **body).status_code == 403
    assert visitor("ingest:tank-1")("POST", "/api/v1/devices/tank-1/readings", **body).status_code == 202


def test_every_answer_has_the_headers_that_keep_browsers_safe(visitor):
    for path in ("/", "/signin", "/static/page.js", "/api/v1/status", "/nothing", "/healthz"):
        headers = visitor("read")("GET", path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"], path
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_no_log_line_and_no_answer_repeats_a_secret(caller, accounts, caplog, fake, monkeypatch):
    caplog.set_level(logging.DEBUG)
    token, link = accounts.create_token("secret", ["read"]), accounts.create_link()
    monkeypatch.setattr(fake, "status", lambda: 1 / 0)
    answers = [
        caller.get("/api/v1/status", headers={"Authorization": f"Bearer {token}"}),
        caller.get("/api/v1/status", headers={"Authorization": f"Bearer {token}x"}),
        caller.post("/signin", json={"link": link + "x"}, headers=OWN),
        caller.post("/signin", json={"link": link}, headers=OWN),
    ]
    assert [answer.status_code for answer in answers] == [500, 401, 401, 200]
    said = caplog.text + "".join(answer.text for answer in answers)
    assert "ZeroDivisionError" in caplog.text, "the fault itself is in the log"
    assert token not in said
    assert link not in said
