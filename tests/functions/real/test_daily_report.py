"""functions/daily-report: a real agent with a day of readings, a real mail server, and what arrives there."""

from __future__ import annotations

import io
import json
import math
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import paho.mqtt.publish
import pytest
import yaml
from PIL import Image

from edge_agent.manifests import load_folder
from tests.agent import Agent
from tests.broker import Broker, free_port
from tests.functions.real import stage
from tests.functions.real.conftest import Serve
from tests.functions.real.mailbox import Mailbox
from tests.waiting import eventually

RULE = """
apiVersion: edge.internal/v1alpha1
kind: Rule
metadata: {name: tank-low}
spec: {devices: "tank-*", reading: level, below: 20, severity: critical, message: "{device} is <b>low</b>"}
"""


def manifests(mail_port: int, web_port: int) -> str:
    folder = stage.FUNCTIONS / "daily-report"
    function = yaml.safe_load((folder / "function.yaml").read_text())
    function["spec"]["source"] = str(folder)
    function["spec"]["env"] |= {
        "EDGE_URL": f"http://127.0.0.1:{web_port}",
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(mail_port),
        "SMTP_SECURITY": "none",
    }
    function["spec"]["retry"] = {"attempts": 1}
    return f"{yaml.safe_dump(function)}---{RULE}"


@pytest.fixture
def scene(tmp_path: Path, broker: Broker, serve: Serve) -> Iterator[tuple[Agent, Mailbox]]:
    """An agent that has heard a day of a tank, and its token in the secret."""
    mailbox, mail_port = serve("none")
    agent = Agent(tmp_path / "agent", broker.port)
    agent.web_port = free_port()
    agent = Agent(
        tmp_path / "agent",
        broker.port,
        manifests=manifests(mail_port, agent.web_port),
        settings={"web.port": agent.web_port},
    )
    with agent:
        now = int(time.time() * 1000)
        day = [
            {
                "boot": "b1",
                "seq": n,
                "t": now - (288 - n) * 300_000,
                "readings": {"level": 50 + 30 * math.sin(n / 40), "door": True},
            }
            for n in range(1, 288)
        ]
        day.append({"boot": "b1", "seq": 288, "t": now, "readings": {"level": 12.5}})
        topic = "edge/v1/home/devices/tank-1/readings/batch"
        for first in range(0, len(day), 64):
            paho.mqtt.publish.single(
                topic, json.dumps(day[first : first + 64]), 1, hostname="127.0.0.1", port=broker.port
            )
        eventually(lambda: agent.get("/alerts")["items"])
        eventually(
            lambda: len(agent.get("/devices/tank-1/readings", reading="level", since="24h", step="10m")["items"]) > 140
        )
        yield agent, mailbox


def token(agent: Agent, text: str = "") -> None:
    secret = agent.data / "secrets" / "edge-token"
    secret.mkdir(parents=True, exist_ok=True)
    made = text or agent.run("tokens", "create", "daily-report", "--scope", "read").stdout
    (secret / "token").write_text(made)


def invoke(agent: Agent) -> Any:
    return agent.post("/functions/daily-report/invocations", {})


def test_the_day_arrives_as_a_mail_with_pictures_and_the_same_in_words(scene: tuple[Agent, Mailbox]) -> None:
    agent, mailbox = scene
    token(agent)
    answer = invoke(agent)
    assert answer.status_code == 200, answer.text
    (mail,) = mailbox.mails
    assert answer.json()["sent"] == mail["Message-ID"]
    assert mail.get_content_type() == "multipart/alternative"
    plain, related = mail.iter_parts()
    text = plain.get_content()
    row = next(line.split() for line in text.splitlines() if line.startswith("tank-1 level"))
    assert (row[2], row[3]) == ("12.5", "12.5")  # last, lowest
    assert 48 < float(row[4]) < 56
    assert 79 < float(row[5]) <= 80
    assert "[critical] tank-1 is <b>low</b>" in text
    assert "door" not in text
    assert related.get_content_type() == "multipart/related"
    page, picture = related.iter_parts()
    assert isinstance(page, EmailMessage)
    assert "tank-1 is &lt;b&gt;low&lt;/b&gt;" in page.get_content()
    assert re.findall(r'src="cid:([^"]+)"', page.get_content()) == [picture["Content-ID"].strip("<>")]
    assert "http" not in page.get_content(), "something would be fetched when the mail is read"
    image = Image.open(io.BytesIO(picture.get_content()))
    image.load()
    assert (image.format, image.mode) == ("PNG", "RGB")
    blue = [x for x in range(image.width) if any(image.getpixel((x, y))[0] < 80 for y in range(image.height))]  # type: ignore[index]
    assert len(blue) > 0.9 * image.width, "the line goes through the whole day"


def test_a_token_the_agent_does_not_know_is_not_tried_again(scene: tuple[Agent, Mailbox]) -> None:
    agent, mailbox = scene
    token(agent, "not-a-token")
    answer = invoke(agent)
    assert answer.status_code == 502
    assert "Permanent" in answer.text
    assert "answers 401" in answer.text
    assert mailbox.mails == []
    token(agent)  # read anew: no restart is needed
    assert invoke(agent).status_code == 200


def test_the_report_ends_when_the_clock_called_for_it_however_late_it_is_run(scene: tuple[Agent, Mailbox]) -> None:
    agent, mailbox = scene
    token(agent)
    called = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    event = {
        "specversion": "1.0",
        "id": f"daily-report/{called:%s}",
        "source": "/edge/home/cron",
        "type": "internal.edge.cron",
        "time": called.isoformat(),
    }
    answer = agent.http("POST", "/api/v1/functions/daily-report/invocations", json=event)
    assert answer.status_code == 200, answer.text
    (mail,) = mailbox.mails
    assert mail["Subject"] == f"home: the day until {called.astimezone(ZoneInfo('Europe/Dublin')):%Y-%m-%d %H:%M}"
    assert "12.5" not in mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "No alerts." in mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]


def test_the_manifest_has_it_run_in_the_morning() -> None:
    assert load_folder(stage.FUNCTIONS / "daily-report").functions["daily-report"].crons == (
        ("0 7 * * *", "Europe/Dublin"),
    )
