"""The file of targets and the words. tests/functions/real/ tells a server that speaks ntfy's and Gotify's API."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

SECRETS = Path(tempfile.mkdtemp())
(SECRETS / "lan-notify").mkdir()
(SECRETS / "lan-notify" / "targets").write_text("phone ntfy://10.0.0.2:8080/shelf\n")
os.environ["EDGE_SECRETS"] = str(SECRETS)

import apprise
from lan_notify import Misconfigured, Target, hidden, read, words


def file_with(folder: Path, text: str) -> Path:
    file = folder / "targets"
    file.write_text(text)
    return file


def test_a_line_is_a_name_and_an_address(tmp_path):
    text = "# who is told\nphone ntfy://10.0.0.2/shelf\n\ndesk   gotify://10.0.0.3/AbCdEfGh12345\n"
    targets = read(file_with(tmp_path, text))
    assert targets == [Target("phone", "ntfy://10.0.0.2/shelf"), Target("desk", "gotify://10.0.0.3/AbCdEfGh12345")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names nobody: write for example phone ntfy://10.0.0.2:8080/shelf"),
        ("ntfy://10.0.0.2/secret-topic\n", "line 1: begins with no name"),
        ("phone fax://10.0.0.2\n", "line 1: phone has no address apprise knows"),
        ("a ntfy://h/x\na ntfy://h/y\n", "each with a name of its own"),
        ("a ntfys://10.0.0.2/x?verify=no\n", "a turns the check of certificates off: set REQUESTS_CA_BUNDLE"),
    ],
)
def test_a_wrong_line_is_named_and_no_address_is_shown(tmp_path, text, said):
    with pytest.raises(Misconfigured) as caught:
        read(file_with(tmp_path, text))
    assert said in str(caught.value)
    assert "secret-topic" not in str(caught.value)


def test_a_missing_file_says_what_to_write(tmp_path):
    with pytest.raises(Misconfigured, match=r"add secrets: \[lan-notify\] and write there"):
        read(tmp_path / "targets")


def test_what_is_critical_is_urgent_unless_the_address_says_otherwise():
    assert Target("a", "ntfy://h/x").service(urgent=True).priority == "high"
    assert Target("a", "ntfy://h/x").service().priority == "default"
    assert Target("a", "ntfy://h/x?priority=min").service(urgent=True).priority == "min"


def test_parts_of_an_address_are_hidden():
    url = "gotify://10.0.0.3:80/AbCdEfGh12345"
    assert (
        hidden("POST http://10.0.0.3:80/message?token=AbCdEfGh12345 failed", url)
        == "POST http://***:80/message?token=*** failed"
    )


def test_an_event_has_a_title_a_body_and_a_look():
    firing = {
        "data": {"device": "tank-1", "severity": "critical", "message": "18.2 %", "state": "firing", "rule": "low"}
    }
    assert words(firing) == ("critical: tank-1", "18.2 %", apprise.NotifyType.FAILURE)
    over = {"data": firing["data"] | {"state": "resolved"}}
    assert words(over) == ("over: low", "18.2 %", apprise.NotifyType.SUCCESS)
    assert words({"type": "call", "subject": "x", "data": None}) == ("info: x", "call x", apprise.NotifyType.INFO)
