"""Signature, id, Retry-After and settings. tests/functions/real/ posts to a real server that verifies."""

from __future__ import annotations

import base64
import os
import tempfile
from pathlib import Path

import pytest

KEY = "whsec_" + base64.b64encode(b"k" * 32).decode()
SECRETS = Path(tempfile.mkdtemp())
(SECRETS / "webhook").mkdir()
(SECRETS / "webhook" / "secret").write_text(KEY)
GOOD = {"WEBHOOK_URL": "https://10.0.0.2/hook", "EDGE_SECRETS": str(SECRETS)}
os.environ.update(GOOD)

from webhook import Misconfigured, Settings, pause, signed, webhook_id


def faults(environment):
    with pytest.raises(Misconfigured) as caught:
        Settings.read(environment)
    return str(caught.value)


def with_key(folder: Path, text: str) -> dict[str, str]:
    (folder / "webhook").mkdir()
    (folder / "webhook" / "secret").write_text(text)
    return GOOD | {"EDGE_SECRETS": str(folder)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"WEBHOOK_URL": ""}, "WEBHOOK_URL is no http:// or https:// address: write one"),
        ({"WEBHOOK_URL": "10.0.0.2/hook"}, "WEBHOOK_URL is no http:// or https:// address"),
        ({"WEBHOOK_URL": "https://ann:pw@10.0.0.2/"}, "WEBHOOK_URL has a user in it"),
        ({"WEBHOOK_TIMEOUT": "soon"}, "WEBHOOK_TIMEOUT is soon: write seconds"),
        ({"WEBHOOK_CA_FILE": "/nowhere.pem"}, "WEBHOOK_CA_FILE is /nowhere.pem, which is no file"),
        ({"EDGE_SECRETS": "/nowhere"}, "there is no key in /nowhere/webhook/secret: add secrets: [webhook]"),
    ],
)
def test_a_wrong_setting_says_what_to_write(change, said):
    assert said in faults(GOOD | change)


def test_all_faults_are_told_at_once():
    assert faults({}).count(";") == 1


@pytest.mark.parametrize(("key", "said"), [("whsec_%%%", "is not base64"), ("whsec_c2hvcnQ=", "is short")])
def test_a_bad_key_is_refused(tmp_path, key, said):
    assert said in faults(with_key(tmp_path, key))


def test_a_url_that_is_a_secret_is_read_from_its_file(tmp_path):
    environment = with_key(tmp_path, KEY) | {"WEBHOOK_URL": ""}
    (tmp_path / "webhook" / "url").write_text("https://10.0.0.3/hidden\n")
    assert Settings.read(environment).target().path == "/hidden"


def test_the_signature_is_the_one_in_the_specification():
    """Standard Webhooks, "Verifying signatures": the example of its reference libraries."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    headers = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", body, [key], 1614265330.7)
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_two_keys_make_two_signatures():
    assert len(signed("msg_1", b"{}", [b"a" * 24, b"b" * 24], 0)["webhook-signature"].split(" v1,")) == 2


def test_an_id_is_the_events_own_and_fit_for_a_header():
    event = {"id": "tank-1/7f3a/42/tank-low", "source": "/edge/home/devices/tank-1"}
    assert webhook_id(event) == webhook_id(event | {"time": "later"})
    assert webhook_id(event) != webhook_id(event | {"source": "elsewhere"})
    assert webhook_id({"id": "grüße\r\n", "source": ""}).isascii()


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        ("Mon, 23 Nov 2026 10:00:30 GMT", 30.0),
        ("Mon, 23 Nov 2026 09:00:00 GMT", 0.0),
        ("soon", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(said, seconds):
    assert pause(said, 1795428000.0) == seconds
