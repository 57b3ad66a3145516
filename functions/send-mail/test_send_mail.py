"""What the mail says, and which settings are refused. tests/functions/real/ sends it over real SMTP."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

GOOD = {"SMTP_HOST": "10.0.0.2", "SMTP_FROM": "Shelf <shelf@example.org>", "SMTP_TO": "ann@example.org"}
os.environ.update(GOOD)

from letterbox import Letterbox
from send_mail import compose, message_id

FIRING = {
    "specversion": "1.0",
    "id": "tank-1/7f3a/42/tank-low",
    "source": "/edge/home/devices/tank-1",
    "type": "internal.edge.rule.firing",
    "data": {"device": "tank-1", "state": "firing", "severity": "critical", "message": "tank-1 is down to 18.2 %"},
}


def faults(environment: Mapping[str, str]) -> str:
    return "; ".join(Letterbox.read(environment)[1])


def good(**changes: str) -> Letterbox:
    letterbox, wrong = Letterbox.read(GOOD | changes)
    assert wrong == []
    return letterbox


def test_every_missing_variable_is_named_with_what_to_write():
    said = faults({})
    assert "SMTP_HOST is not set: write the mail server, as in 10.0.0.2" in said
    assert "SMTP_FROM is not set" in said
    assert "SMTP_TO is not set" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"SMTP_SECURITY": "ssl"}, "SMTP_SECURITY is ssl: write starttls, tls or none"),
        ({"SMTP_PORT": "smtp"}, "SMTP_PORT is smtp: write a number"),
        ({"SMTP_USER": "ann", "SMTP_SECURITY": "none"}, "a password is never sent unencrypted"),
        ({"SMTP_USER": "ann", "EDGE_SECRETS": "/nowhere"}, "there is no /nowhere/smtp/password: add secrets: [smtp]"),
        ({"SMTP_CA_FILE": "/nowhere.pem"}, "SMTP_CA_FILE is /nowhere.pem, which is no file"),
    ],
)
def test_a_wrong_setting_says_what_to_write(change, said):
    assert said in faults(GOOD | change)


def test_the_port_follows_from_the_security():
    ports = {security: good(SMTP_SECURITY=security).port for security in ("starttls", "tls", "none")}
    assert ports == {"starttls": 587, "tls": 465, "none": 25}


def test_the_password_is_read_each_time(tmp_path: Path):
    file = tmp_path / "smtp" / "password"
    file.parent.mkdir()
    file.write_text("old\n")
    letterbox = good(SMTP_USER="ann", EDGE_SECRETS=str(tmp_path))
    assert letterbox.password == "old"
    file.write_text(" new \r\n")
    assert letterbox.password == " new "


def test_one_event_has_one_message_id():
    first = message_id(FIRING, "Shelf <shelf@example.org>")
    assert first == message_id(FIRING | {"time": "later"}, "Shelf <shelf@example.org>")
    assert first != message_id(FIRING | {"id": "another"}, "Shelf <shelf@example.org>")
    assert first.endswith("@example.org>")


def test_an_episode_that_is_over_says_so():
    mail = compose(FIRING | {"data": FIRING["data"] | {"state": "resolved"}}, good())
    assert mail["Subject"] == "[critical] over: tank-1 is down to 18.2 %"
