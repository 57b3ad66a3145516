"""Functions over HTTP: who may see what of them, their logs, versions, usage, and the letters they left dead."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.waiting import eventually
from tests.web.conftest import Visitor, manifest
from tests.web.fake_appliance import FakeAppliance

ENV = {
    "SMTP_HOST": "10.0.0.2",
    "SMTP_PASSWORD": "hunter2",
    "api_key": "hunter2",
    "GitHubToken": "hunter2",
    "DATABASE_URL": "postgres://ada:hunter2@10.0.0.3/tanks",
}


@pytest.fixture
def function(admin: Visitor, echo: dict[str, Any]) -> str:
    echo["spec"]["env"] = ENV
    assert admin("PUT", "/api/v1/functions/echo", json=echo).status_code == 201
    return "/api/v1/functions/echo"


def env_of(shown: Any) -> dict[str, str]:
    found: dict[str, str] = shown["manifest"]["spec"]["env"]
    return found


@pytest.mark.parametrize("scope", ["read", "operate"])
def test_values_that_look_like_secrets_are_hidden_from_who_may_not_change_them(
    visitor: Any, function: str, scope: str
) -> None:
    reader = visitor(scope)
    for shown in (reader("GET", function).json, reader("GET", "/api/v1/functions").json["items"][0]):
        assert "hunter2" not in json.dumps(shown)
        assert env_of(shown)["SMTP_HOST"] == "10.0.0.2"
        assert env_of(shown)["SMTP_PASSWORD"] == env_of(shown)["api_key"] == env_of(shown)["GitHubToken"] == "********"
        assert env_of(shown)["DATABASE_URL"] == "postgres://********@10.0.0.3/tanks"


def test_an_admin_sees_them_and_what_is_shown_can_be_given_back(admin: Visitor, function: str) -> None:
    shown = admin("GET", function)
    assert env_of(shown.json) == ENV
    again = admin("PUT", function, json=shown.json["manifest"], headers={"If-Match": shown.headers["ETag"]})
    assert again.status_code == 200


def test_logs_are_read_by_time_and_by_number(admin: Visitor, fake: FakeAppliance, function: str) -> None:
    for number in range(5):
        fake.prints(f"line {number}")
    assert [line["text"] for line in admin("GET", f"{function}/logs?tail=2").json["items"]] == ["line 3", "line 4"]
    assert len(admin("GET", f"{function}/logs?since=1h").json["items"]) == 5
    assert admin("GET", f"{function}/logs?since=now&tail=0").status_code == 200
    assert admin("GET", f"{function}/logs?tail=-1").status_code == 400
    assert admin("GET", "/api/v1/functions/nobody/logs").status_code == 404
    assert admin("GET", "/api/v1/functions/nobody/logs/live").status_code == 404


def test_logs_are_followed_live_without_taking_a_page_s_place(
    caller: httpx.Client, fake: FakeAppliance, echo: dict[str, Any]
) -> None:
    caller.put("/api/v1/functions/echo", json=echo)
    fake.prints("before")
    with caller.stream("GET", "/api/v1/functions/echo/logs/live?tail=1&since=1h") as stream:
        lines = (json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: {"))
        assert next(lines)["text"] == "before"
        fake.prints("after")
        assert next(lines)["text"] == "after"
        assert caller.get("/api/v1/status").status_code == 200
    eventually(lambda: not fake.queues)


def test_following_takes_one_of_the_places_for_live_connections(caller: httpx.Client, echo: dict[str, Any]) -> None:
    caller.put("/api/v1/functions/echo", json=echo)
    streams = [caller.stream("GET", "/api/v1/functions/echo/logs/live") for _ in range(4)]
    opened = [stream.__enter__() for stream in streams]
    try:
        assert {answer.status_code for answer in opened} == {200}
        refused = caller.get("/api/v1/functions/echo/logs/live")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
    finally:
        for stream in streams:
            stream.__exit__(None, None, None)


def test_a_deployment_over_the_network_is_a_manifest_or_a_kept_version_never_a_folder(
    admin: Visitor, function: str
) -> None:
    deployments = f"{function}/deployments"
    refused = admin("POST", deployments, json={"folder": "/tmp"})
    assert (refused.status_code, "local socket only" in refused.json["detail"]) == (422, True)
    image = manifest("Function", "echo", image="registry.edge.internal:5000/echo:2")
    begun = admin("POST", deployments, json={"manifest": image})
    assert (begun.status_code, begun.json["state"]) == (202, "trying")
    (version,) = admin("GET", f"{function}/versions").json["items"]
    assert (version["version"], version["state"]) == (begun.json["version"], "live")
    assert admin("POST", deployments, json={"version": "nope"}).status_code == 404
    for wrong in ({}, {"folder": "/tmp", "version": "previous"}, {"manifest": 1}, {"manifest": {}}, {"other": 1}):
        assert admin("POST", deployments, json=wrong).status_code == 400, wrong


def test_who_may_only_operate_scales_and_does_not_deploy(visitor: Any, function: str) -> None:
    operator, reader = visitor("operate"), visitor("read")
    assert operator("PUT", f"{function}/scale", json={"min_idle": 3}).json["workers"] == {"idle": 3}
    assert operator("PUT", f"{function}/scale", json={"min_idle": None}).status_code == 200
    for wrong in ({}, {"min_idle": -1}, {"min_idle": True}, {"min_idle": "3"}, {"min_idle": 3, "more": 1}):
        assert operator("PUT", f"{function}/scale", json=wrong).status_code == 400, wrong
    assert reader("PUT", f"{function}/scale", json={"min_idle": 3}).status_code == 403
    assert operator("POST", f"{function}/deployments", json={"version": "previous"}).status_code == 403
    assert reader("GET", f"{function}/logs").status_code == 200


def test_usage_is_told_of_one_and_of_all(admin: Visitor, function: str) -> None:
    admin("POST", f"{function}/invocations", json={"n": 1})
    used = admin("GET", f"{function}/usage").json
    assert (used["total"]["invocations"], used["until"] - used["since"]) == (1, 24 * 3600 * 1000)
    assert [one["function"] for one in admin("GET", "/api/v1/usage?since=7d&step=6h").json["items"]] == ["echo"]
    assert admin("GET", f"{function}/usage?since=now&until=1h").status_code == 400
    assert admin("GET", f"{function}/usage?step=7m").status_code == 400


def test_dead_letters_are_filtered_shown_and_purged_by_the_same_words(
    admin: Visitor, fake: FakeAppliance, function: str
) -> None:
    for number, device in enumerate(("tank-1", "tank-1", "tank-10")):
        fake.call("echo", f"{device}/b/{number}/low", "fail", cause="rule low")
    letters = "/api/v1/deadletters"
    assert len(admin("GET", f"{letters}?device=tank-1").json["items"]) == 2
    assert admin("GET", f"{letters}?kind=timeout").json["items"] == []
    assert admin("GET", f"{letters}?until=1h").json["items"] == []
    (shown,) = admin("GET", f"{letters}?device=tank-10").json["items"]
    assert "event" not in shown, "a list may be long, and an event 6 MiB"
    assert admin("GET", f"{letters}/{shown['id']}").json["event"] == "fail"
    assert admin("GET", f"{letters}/{shown['id']}?function=other").status_code == 404
    assert admin("POST", f"{letters}/{shown['id']}/redrive?function=other").status_code == 404
    assert admin("POST", f"{letters}/purge?dry_run=1", json={"device": "tank-1"}).json["purged"] == 2
    assert admin("POST", f"{letters}/purge", json={"device": "tank-1", "since": "1h"}).json["purged"] == 2
    assert [letter["id"] for letter in admin("GET", letters).json["items"]] == [shown["id"]]
