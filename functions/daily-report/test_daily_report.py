"""Plots, words and settings. tests/functions/real/ asks a real agent and a real mail server."""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from pathlib import Path

import pytest

SECRETS = Path(tempfile.mkdtemp())
(SECRETS / "edge-token").mkdir()
(SECRETS / "edge-token" / "token").write_text("t")
GOOD = {
    "EDGE_URL": "http://127.0.0.1:8080",
    "EDGE_SECRETS": str(SECRETS),
    "SMTP_HOST": "10.0.0.2",
    "SMTP_FROM": "shelf@example.org",
    "SMTP_TO": "ann@example.org",
    "REPORT_TIME_ZONE": "Europe/Dublin",
}
os.environ.update(GOOD)

from agent_api import STEP, Course, Day
from daily_report import LENGTH, Misconfigured, Settings, compose, plain
from daily_report import Words as InWords
from plot import BAND, HEIGHT, LINE, PAPER, WIDTH, Step, draw, limits

SINCE = 1795428000000  # 2026-11-23T10:00:00Z


def pixels(png: bytes) -> list[list[tuple[int, int, int]]]:
    """A reader of its own: signature, checksums, rows without filters."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, data = 8, b""
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        data += body if kind == b"IDAT" else b""
        at += 12 + length
    raw, stride = zlib.decompress(data), 1 + 3 * WIDTH
    assert len(raw) == HEIGHT * stride
    rows = [raw[y * stride + 1 : (y + 1) * stride] for y in range(HEIGHT)]
    return [[tuple(row[x * 3 : x * 3 + 3]) for x in range(WIDTH)] for row in rows]


def inked(pixel: tuple[int, int, int]) -> bool:
    """Mostly the line's colour: its edges are mixed with what lies below."""
    return all(abs(part - wanted) < 60 for part, wanted in zip(pixel, LINE, strict=True))


def course(*steps: Step) -> Course:
    return Course("tank-1", "level", "%", steps, steps[-1].mean if steps else None)


def ramp(first: int, last: int) -> list[Step]:
    return [Step(SINCE + number * STEP, number - 20, number, number + 20) for number in range(first, last)]


def test_the_mean_is_a_line_inside_a_band_from_bottom_left_to_top_right():
    picture = pixels(draw(ramp(0, 144), SINCE, SINCE + LENGTH, STEP))
    bottom, top = limits(ramp(0, 144))
    for x, value in ((100, 100 / WIDTH * 144), (300, 300 / WIDTH * 144), (500, 500 / WIDTH * 144)):
        y = int((top - value) / (top - bottom) * HEIGHT)
        assert any(inked(picture[y + off][x]) for off in (-1, 0, 1))
        assert picture[y + 3][x] == picture[y - 3][x] == BAND
    assert picture[2][2] == picture[HEIGHT - 3][WIDTH - 3] == PAPER


def test_where_nothing_was_heard_there_is_nothing_to_see():
    picture = pixels(draw(ramp(0, 40) + ramp(100, 144), SINCE, SINCE + LENGTH, STEP))
    middle = [row[WIDTH // 2 + 5] for row in picture]
    assert not any(map(inked, middle))
    assert BAND not in middle


@pytest.mark.parametrize("value", [0.0, 21.5, -3.0, 1e9])
def test_a_flat_course_and_a_single_step_can_be_drawn(value):
    picture = pixels(draw([Step(SINCE, value, value, value)], SINCE, SINCE + LENGTH, STEP))
    assert any(map(inked, picture[HEIGHT // 2]))


def test_the_plain_text_says_what_the_pictures_show():
    alert = {"since": SINCE, "until": None, "severity": "critical", "message": "tank-1 is down"}
    day = Day("home", SINCE, SINCE + LENGTH, [course(*ramp(0, 144)), course()], 2, [alert], ["tank-9"])
    text = plain(day, InWords(Settings.read(GOOD).zone))
    assert "home: Mon 10:00 to Tue 10:00" in text
    assert "Mon 10:00, still on: [critical] tank-1 is down" in text
    assert ["tank-1", "level", "143", "%", "-20", "%", "71.5", "%", "163", "%"] in [
        line.split() for line in text.splitlines()
    ]
    assert "and 2 more" in text
    assert "Silent all day: tank-9" in text


def test_what_devices_say_cannot_become_markup():
    alert = {"since": SINCE, "until": SINCE, "severity": "info", "message": "<script>alert(1)</script>"}
    day = Day("home", SINCE, SINCE + LENGTH, [course(*ramp(0, 3))], 0, [alert], [])
    mail = compose({"id": "1"}, day, Settings.read(GOOD))
    assert "<script>" not in mail.get_body(("html",)).get_content()


def test_one_event_has_one_message_id():
    day = Day("home", SINCE, SINCE + LENGTH, [], 0, [], [])
    ids = [compose({"id": id}, day, Settings.read(GOOD))["Message-ID"] for id in ("a", "a", "b")]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"EDGE_URL": ""}, "EDGE_URL is not the agent's address: write for example http://127.0.0.1:8080"),
        ({"EDGE_SECRETS": "/nowhere"}, "put there what edgectl tokens create daily-report --scope read prints"),
        ({"EDGE_CA_FILE": "/no.pem"}, "EDGE_CA_FILE is /no.pem, which is no file"),
        ({"REPORT_READINGS": "level"}, "REPORT_READINGS has no device/reading: write for example tank-*/level"),
        ({"REPORT_TIME_ZONE": "Dublin"}, "REPORT_TIME_ZONE is Dublin: write a name as in Europe/Dublin"),
        ({"SMTP_HOST": ""}, "SMTP_HOST is not set: write the mail server"),
    ],
)
def test_a_wrong_setting_says_what_to_write(change, said):
    with pytest.raises(Misconfigured) as caught:
        Settings.read(GOOD | change)
    assert said in str(caught.value)
