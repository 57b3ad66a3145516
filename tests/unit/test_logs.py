from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator

import pytest

from edge_agent import logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root, hook = logging.getLogger(), threading.excepthook
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], threading.excepthook = handlers, hook
    root.setLevel(level)
    logging.captureWarnings(False)


def said(form: str, stream: io.StringIO | None = None, level: str = "info") -> io.StringIO:
    stream = stream or io.StringIO()
    logs.set_up(form, level, stream)
    return stream


def test_console_lines_are_short_and_carry_the_id() -> None:
    stream = said("console")
    logging.getLogger("edge_agent.engine.drain").info("moved %d readings", 5, extra={"id": "tank-1/b/7"})
    logging.getLogger("edge_agent.adapters.mqtt").warning("gone")
    first, second = stream.getvalue().splitlines()
    assert first[9:] == "engine.drain: moved 5 readings  tank-1/b/7"
    assert second[9:] == "mqtt: warning: gone"


def test_json_lines_carry_the_id_and_whatever_else_was_given() -> None:
    stream = said("json")
    logging.getLogger("edge_agent.x").info("hé", extra={"id": "tank-1/b/7", "attempt": 2})
    entry = json.loads(stream.getvalue())
    assert {key: entry[key] for key in ("level", "logger", "message", "id", "attempt")} == {
        "level": "info",
        "logger": "edge_agent.x",
        "message": "hé",
        "id": "tank-1/b/7",
        "attempt": 2,
    }
    assert entry["time"].endswith("Z")
    assert len(entry["time"]) == len("2026-11-23T10:00:00.123Z")


def test_an_exception_is_one_json_line() -> None:
    stream = said("json")
    try:
        int("no")
    except ValueError:
        logging.getLogger("x").exception("failed")
    assert "ValueError: invalid literal" in json.loads(stream.getvalue())["exception"]


def test_colours_are_for_terminals_and_not_against_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for stream, coloured in ((Terminal(), True), (io.StringIO(), False)):
        said("console", stream)
        logging.getLogger("x").error("bad")
        assert ("\x1b[31m" in stream.getvalue()) is coloured
    monkeypatch.setenv("NO_COLOR", "1")
    stream = said("console", Terminal())
    logging.getLogger("x").error("bad")
    assert "\x1b" not in stream.getvalue()


def test_what_is_less_important_than_the_level_is_not_said_and_libraries_are_quiet() -> None:
    stream = said("console", level="info")
    logging.getLogger("x").debug("details")
    logging.getLogger("pymongo.connection").info("heartbeat")
    assert stream.getvalue() == ""


def test_a_thread_that_dies_is_told() -> None:
    stream = said("console")

    def fail() -> None:
        raise RuntimeError("unexpected")

    thread = threading.Thread(target=fail, name="drain")
    thread.start()
    thread.join()
    assert "critical: drain ended with an error nobody expected" in stream.getvalue()
    assert "RuntimeError: unexpected" in stream.getvalue()


def test_setting_up_twice_says_everything_once() -> None:
    said("console")
    stream = said("console")
    logging.getLogger("x").info("once")
    assert stream.getvalue().count("once") == 1
