"""The HTTP API: each route does what INTERFACE.md says, and says what is wrong when it cannot."""

from __future__ import annotations

import csv
import io
import json

import pytest

from tests.waiting import eventually
from tests.web.conftest import manifest

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def board(visitor):
    """Publishes as tank-1."""
    visit = visitor("ingest:tank-1")

    def publish(body, **options):
        content = body if isinstance(body, bytes) else json.dumps(body)
        headers = {**JSON, **options.pop("headers", {})}
        return visit("POST", "/api/v1/devices/tank-1/readings", data=content, headers=headers, **options)

    return publish


@pytest.fixture
def stranger_to_json(board):
    return lambda kind: board({"readings": {"level": 1}}, headers={"Content-Type": kind}).status_code


# publishing


def test_what_was_accepted_can_be_read_back(board, admin):
    assert board({"readings": {"level": 18.2, "door": True}}).status_code == 202
    device = eventually(lambda: admin("GET", "/api/v1/devices/tank-1").json)
    assert device["readings"]["level"]["value"] == 18.2
    assert device["readings"]["door"]["value"] is True
    points = eventually(lambda: admin("GET", "/api/v1/devices/tank-1/readings?reading=level&since=1h").json["items"])
    assert [point["value"] for point in points] == [18.2]


def test_a_batch_is_an_array(board):
    answer = board([{"readings": {"level": n}} for n in range(3)])
    assert answer.status_code == 202
    assert answer.json["stored"] == 3


def test_every_fault_is_told_at_once(board):
    answer = board({"t": "yesterday", "seq": -1, "readings": {"level": None}})
    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"
    assert len(answer.json["faults"]) >= 3
    assert {"file", "line", "column", "field", "message", "hint"} == set(answer.json["faults"][0])


def test_a_device_that_cannot_be_named_so_is_told_what_would_do(visitor):
    answer = visitor("ingest")("POST", "/api/v1/devices/Tank_1/readings", json={"readings": {"level": 1}})
    assert answer.status_code == 400
    assert answer.json["faults"][0]["hint"] == "tank-1 would do"


def test_the_same_key_twice_stores_once(board, admin):
    key = {"Idempotency-Key": "a-1"}
    first, second = board({"readings": {"level": 1}}, headers=key), board({"readings": {"level": 1}}, headers=key)
    assert (first.status_code, second.status_code) == (202, 202)
    points = eventually(lambda: admin("GET", "/api/v1/devices/tank-1/readings?reading=level").json["items"])
    assert len(points) == 1


def test_64_kib_are_accepted_and_one_byte_more_is_not(board):
    body = json.dumps({"readings": {"level": 1}}).encode()
    assert board(body + b" " * (65536 - len(body))).status_code == 202
    assert board(body + b" " * (65537 - len(body))).status_code == 413


@pytest.mark.parametrize(("kind", "status"), [("application/json", 202), ("application/json; charset=utf-8", 202)])
def test_json_is_understood(stranger_to_json, kind, status):
    assert stranger_to_json(kind) == status


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "application/xml"])
def test_anything_else_is_415(stranger_to_json, kind):
    assert stranger_to_json(kind) == 415


def test_while_the_disk_is_full_a_board_is_told_when_to_try_again(fake, board, visitor):
    fake.disk_full = True
    answer = board({"readings": {"level": 1}})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert visitor("read")("GET", "/readyz").status_code == 503
    fake.disk_full = False
    assert visitor("read")("GET", "/readyz").status_code == 200


# reading


def test_lists_come_in_pages_and_nothing_is_left_out(visitor, admin):
    publish = visitor("ingest")
    for number in range(25):
        publish("POST", f"/api/v1/devices/room-{number:02}/readings", json={"readings": {"t": 1}})
    eventually(lambda: len(admin("GET", "/api/v1/devices").json["items"]) == 25)
    seen, cursor = [], ""
    while True:
        found = admin("GET", f"/api/v1/devices?limit=10&cursor={cursor}").json
        seen.append([device["name"] for device in found["items"]])
        cursor = found["cursor"]
        if not cursor:
            break
    assert [len(page) for page in seen] == [10, 10, 5]
    assert [name for page in seen for name in page] == [f"room-{number:02}" for number in range(25)]


def test_readings_as_csv(board, admin):
    for value in (1, 2.5):
        board({"t": 1763888888000 + int(value * 1000), "readings": {"level": value, "note": '=1+1, "x"'}})
    answer = eventually(
        lambda: admin("GET", "/api/v1/devices/tank-1/readings?since=2025-11-01", headers={"Accept": "text/csv"})
    )
    assert answer.mimetype == "text/csv"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {(row["reading"], row["value"]) for row in rows} == {
        ("level", "1"),
        ("level", "2.5"),
        ("note", '\'=1+1, "x"'),
    }


def test_steps_have_mean_min_and_max(board, admin):
    for offset, value in [(0, 1), (10_000, 3), (60_000, 5)]:
        board({"t": 1763888880000 + offset, "readings": {"level": value}})
    path = "/api/v1/devices/tank-1/readings?reading=level&since=1763888880000&until=2025-11-23T09:10:00Z&step=1m"
    points = eventually(lambda: admin("GET", path).json["items"])
    assert points == [
        {"t": 1763888880000, "mean": 2, "min": 1, "max": 3, "count": 2},
        {"t": 1763888940000, "mean": 5, "min": 5, "max": 5, "count": 1},
    ]


@pytest.mark.parametrize(
    "since", ["1h", "-24h", "now", "1763888888123", "2026-11-23T10:00:00Z", "2026-11-23T10:00:00+01:00", "2026-11-23"]
)
def test_moments_are_taken_as_people_write_them(board, admin, since):
    board({"readings": {"level": 1}})
    assert admin("GET", "/api/v1/devices/tank-1/readings", query_string={"since": since}).status_code == 200


@pytest.mark.parametrize(
    "query", ["since=yesterday", "since=99999999999999999", "step=-1", "since=5&until=4", "step=5x", "since=9999999h"]
)
def test_moments_nobody_means_are_refused(board, admin, query):
    board({"readings": {"level": 1}})
    answer = admin("GET", f"/api/v1/devices/tank-1/readings?{query}")
    assert answer.status_code == 400, answer.text


def test_what_is_not_there_is_404_with_a_sentence(admin):
    for path in (
        "/api/v1/devices/nothing",
        "/api/v1/rules/nothing",
        "/api/v1/functions/nothing",
        "/api/v1/invocations/a/b",
        "/api/v1/trace/a/b/1",
    ):
        answer = admin("GET", path)
        assert answer.status_code == 404, path
        assert "nothing" in answer.json["detail"] or "a/b" in answer.json["detail"]


def test_a_device_can_be_labelled_and_forgotten(board, admin):
    board({"readings": {"level": 1}})
    eventually(lambda: admin("GET", "/api/v1/devices/tank-1").status_code == 200)
    assert admin("PATCH", "/api/v1/devices/tank-1", json={"label": "Rain water"}).json["label"] == "Rain water"
    assert admin("DELETE", "/api/v1/devices/tank-1?dry_run=true").json["readings"] == 1
    assert admin("GET", "/api/v1/devices/tank-1").status_code == 200
    assert admin("DELETE", "/api/v1/devices/tank-1").json == {"device": "tank-1", "readings": 1}
    assert admin("GET", "/api/v1/devices/tank-1").status_code == 404


# manifests


def test_a_manifest_is_changed_only_by_who_has_seen_it(admin, tank_low):
    created = admin("PUT", "/api/v1/rules/tank-low", json=tank_low)
    assert created.status_code == 201
    tag = admin("GET", "/api/v1/rules/tank-low").headers["ETag"]
    changed = {**tank_low, "spec": {**tank_low["spec"], "below": 15}}
    assert admin("PUT", "/api/v1/rules/tank-low", json=changed).status_code == 428
    assert admin("PUT", "/api/v1/rules/tank-low", json=changed, headers={"If-None-Match": "*"}).status_code == 412
    second = admin("PUT", "/api/v1/rules/tank-low", json=changed, headers={"If-Match": tag})
    assert second.status_code == 200
    assert second.headers["ETag"] != tag
    assert admin("PUT", "/api/v1/rules/tank-low", json=tank_low, headers={"If-Match": tag}).status_code == 412
    assert admin("GET", "/api/v1/rules/tank-low").json["manifest"]["spec"]["below"] == 15
    assert admin("DELETE", "/api/v1/rules/tank-low").status_code == 428
    assert admin("DELETE", "/api/v1/rules/tank-low", headers={"If-Match": tag}).status_code == 412
    assert admin("DELETE", "/api/v1/rules/tank-low?dry_run", headers={"If-Match": "*"}).status_code == 204
    assert admin("DELETE", "/api/v1/rules/tank-low", headers={"If-Match": second.headers["ETag"]}).status_code == 204
    assert admin("DELETE", "/api/v1/rules/tank-low").status_code == 404
    assert admin("PUT", "/api/v1/rules/tank-low", json=tank_low, headers={"If-Match": tag}).status_code == 412


def test_a_manifest_is_checked_whole(admin):
    answer = admin(
        "PUT", "/api/v1/rules/tank-low", json={"kind": "Function", "metadata": {"name": "other"}, "spec": {}}
    )
    assert answer.status_code == 400
    assert len(answer.json["faults"]) >= 2
    assert admin("GET", "/api/v1/rules").json["items"] == []


def test_a_rule_can_be_replayed(admin, tank_low):
    admin("PUT", "/api/v1/rules/tank-low", json=tank_low)
    assert admin("POST", "/api/v1/rules/tank-low/replay?since=24h").json["rule"] == "tank-low"


# functions


def test_a_function_answers_or_says_where_to_look(admin, echo):
    admin("PUT", "/api/v1/functions/echo", json=echo)
    answer = admin("POST", "/api/v1/functions/echo/invocations", json={"hello": 1})
    assert (answer.status_code, answer.json) == (200, {"hello": 1})
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    later = admin(
        "POST", "/api/v1/functions/echo/invocations", json={"hello": 2}, headers={"Prefer": "respond-async, wait=5"}
    )
    assert later.status_code == 202
    found = eventually(lambda: admin("GET", later.headers["Location"]).json)
    assert found["function"] == "echo"
    assert any(item["id"] == found["id"] for item in admin("GET", "/api/v1/invocations?function=echo").json["items"])


def test_a_function_that_fails_is_502_and_its_event_a_dead_letter_that_can_be_redriven(fake, admin, echo):
    admin("PUT", "/api/v1/functions/echo", json=echo)
    answer = admin("POST", "/api/v1/functions/echo/invocations", data=b"please fail")
    assert answer.status_code == 502
    assert "told to fail" in answer.json["detail"]
    (letter,) = admin("GET", "/api/v1/deadletters").json["items"]
    assert admin("POST", f"/api/v1/deadletters/{letter['id']}/redrive?dry_run=1").status_code == 202
    assert admin("GET", "/api/v1/deadletters?function=echo").json["items"]
    assert admin("POST", f"/api/v1/deadletters/{letter['id']}/redrive").status_code == 202
    assert admin("GET", "/api/v1/deadletters").json["items"] == []


@pytest.mark.parametrize(
    ("kind", "state", "status"), [("timeout", "dead", 504), ("init-error", "dead", 502), ("", "waiting", 504)]
)
def test_why_a_function_did_not_answer_is_in_the_status(fake, admin, echo, monkeypatch, kind, state, status):
    admin("PUT", "/api/v1/functions/echo", json=echo)
    ended = {"id": "http/1", "function": "echo", "state": state, "kind": kind, "reason": "because"}
    monkeypatch.setattr(fake, "invoke", lambda *_, **__: ended)
    assert admin("POST", "/api/v1/functions/echo/invocations", data=b"{}").status_code == status


def test_dead_letters_can_be_let_go(fake, admin, echo, clock):
    admin("PUT", "/api/v1/functions/echo", json=echo)
    admin("POST", "/api/v1/functions/echo/invocations", data=b"please fail")
    assert admin("POST", "/api/v1/deadletters/purge?dry_run=1").json == {"purged": 1}
    clock.pass_by(1000)
    assert admin("POST", "/api/v1/deadletters/purge", json={"function": "echo", "older_than": "now"}).json == {
        "purged": 1
    }
    assert admin("GET", "/api/v1/deadletters").json["items"] == []


# alerts


def test_an_alert_fires_is_acked_and_is_over(admin, board, visitor, tank_low):
    admin("PUT", "/api/v1/rules/tank-low", json=tank_low)
    board({"readings": {"level": 50}})
    board({"readings": {"level": 10}})
    alert = eventually(lambda: admin("GET", "/api/v1/alerts?state=firing").json["items"])[0]
    assert (alert["rule"], alert["device"], alert["severity"], alert["value"]) == ("tank-low", "tank-1", "critical", 10)
    operator = visitor("operate")
    acked = operator("POST", f"/api/v1/alerts/{alert['id']}/ack").json
    assert acked["acked_by"].startswith("operate")
    assert admin("GET", "/api/v1/rules/tank-low").json["firing"] == ["tank-1"]
    board({"readings": {"level": 50}})
    eventually(lambda: admin("GET", "/api/v1/alerts?state=firing").json["items"] == [])
    assert admin("GET", "/api/v1/alerts?state=resolved").json["items"][0]["id"] == alert["id"]


def test_silences_end(admin, clock):
    answer = admin("POST", "/api/v1/alerts/silences", json={"rule": "tank-low", "until": "2h"})
    assert answer.status_code == 201
    assert abs(answer.json["until"] - clock() - 2 * 3600_000) < 60_000
    for until in ("now", "1000d", None, 5, "whenever"):
        wrong = admin("POST", "/api/v1/alerts/silences", json={"rule": "tank-low", "until": until, "devise": "x"})
        assert wrong.status_code == 400, until
        assert "devise" in [fault["field"] for fault in wrong.json["faults"]]


# people and machines


def test_tokens_are_made_listed_and_removed(admin, visitor, app):
    made = admin("POST", "/api/v1/tokens", json={"name": "board", "scopes": ["ingest:tank-1"], "expires_at": "90d"})
    assert made.status_code == 201
    assert admin("POST", "/api/v1/tokens", json={"name": "board", "scopes": ["read"]}).status_code == 409
    assert made.json["token"] not in admin("GET", "/api/v1/tokens").text
    headers = {"Authorization": f"Bearer {made.json['token']}"}
    publish = {"json": {"readings": {"level": 1}}, "headers": headers}
    assert app.test_client().post("/api/v1/devices/tank-1/readings", **publish).status_code == 202
    assert admin("DELETE", "/api/v1/tokens/board").status_code == 204
    assert app.test_client().post("/api/v1/devices/tank-1/readings", **publish).status_code == 401


def test_users_and_links_sign_in(admin, app):
    own = {"X-Edge-Request": "1"}
    body = {"name": "ada", "password": "correct horse battery", "scopes": ["read"]}
    assert admin("POST", "/api/v1/users", json=body).status_code == 201
    assert admin("PUT", "/api/v1/users/ada/password", json={"password": "another good phrase"}).status_code == 204
    client = app.test_client()
    assert client.post("/signin", json={"user": "ada", "password": "another good phrase"}, headers=own).json[
        "scopes"
    ] == ["read"]
    assert admin("DELETE", "/api/v1/users/ada").status_code == 204
    assert client.get("/api/v1/session").status_code == 401
    link = admin("POST", "/api/v1/signin-links", json={"scopes": ["operate"]}).json
    assert link["path"] == f"/signin#{link['link']}"
    assert client.post("/signin", json={"link": link["link"]}, headers=own).json["scopes"] == ["operate"]
    assert client.post("/signin", json={"link": link["link"]}, headers=own).status_code == 401


def test_the_appliance_can_be_looked_at(admin):
    assert admin("GET", "/api/v1/status").json["site"] == "home"
    assert all({"check", "ok", "summary"} <= set(check) for check in admin("GET", "/api/v1/checks").json["items"])
    assert b"edge_readings_stored_total" in admin("GET", "/metrics").data
    assert admin("POST", "/api/v1/reload").status_code == 200


def test_trace_tells_the_phases_of_a_reading(board, admin):
    stored = board({"readings": {"level": 1}}).json
    identifier = f"{stored['device']}/{stored['boot']}/{stored['seq']}"
    assert eventually(lambda: admin("GET", f"/api/v1/trace/{identifier}").json["phases"])


def test_a_route_used_wrongly_says_so(admin):
    assert admin("POST", "/api/v1/status").status_code == 405
    assert admin("POST", "/api/v1/status").headers["Allow"] == "GET, HEAD"
    assert admin("GET", "/api/v1/devices?limit=0").status_code == 400
    assert admin("PUT", "/api/v1/rules/x", data=b"{", headers=JSON).status_code == 400
    assert admin("PUT", "/api/v1/rules/x", data=b"[1]", headers=JSON).status_code == 400
    assert admin("PUT", "/api/v1/rules/x", data=b" " * 300_000, headers=JSON).status_code == 413
    assert (
        admin("PUT", "/api/v1/rules/Tank_1", json=manifest("Rule", "x")).json["faults"][0]["hint"] == "tank-1 would do"
    )
