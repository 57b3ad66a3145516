"""How the agent speaks: short console lines for people, or JSON lines for collectors, on standard error.

A record may carry `extra={"id": ...}` (a reading's or event's id, what `edgectl trace` takes); both formats show it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from typing import Any, TextIO

_COLOURS = {logging.DEBUG: "2", logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "1;31"}
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_QUIET = ("werkzeug", "httpx", "httpcore", "pymongo", "urllib3", "asyncio")
"""Libraries that tell at INFO what we tell ourselves."""


def set_up(form: str = "console", level: str = "info", stream: TextIO | None = None) -> None:
    """Send all logging to `stream` (standard error) in `form`: `console` or `json`. Calling it again replaces the
    first."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if form == "json" else Console(colour=colourful(stream)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    threading.excepthook = _thread_died
    logging.captureWarnings(True)


def colourful(stream: TextIO) -> bool:
    """Whether colours are welcome: a terminal, and no NO_COLOR (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Console(logging.Formatter):
    """`12:00:01 journal: 2,000 readings moved to the history  tank-1/7f3a/42`"""

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self.colour = colour

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        name = record.name.removeprefix("edge_agent.").removeprefix("adapters.")
        word = "" if record.levelno in (logging.INFO, logging.DEBUG) else f"{record.levelname.lower()}: "
        id_ = getattr(record, "id", "")
        text = f"{clock} {name}: {word}{record.getMessage()}" + (f"  {id_}" if id_ else "")
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        colour = _COLOURS.get(record.levelno)
        return f"\x1b[{colour}m{text}\x1b[0m" if self.colour and colour else text


class JsonLines(logging.Formatter):
    """One object per line: time (RFC 3339, UTC), level, logger, message, and whatever `extra` gave."""

    def format(self, record: logging.LogRecord) -> str:
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, Any] = {
            "time": f"{whole}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def _thread_died(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit or args.exc_value is None:
        return
    name = args.thread.name if args.thread else "a thread"
    found = (args.exc_type, args.exc_value, args.exc_traceback)
    logging.getLogger("edge_agent").critical("%s ended with an error nobody expected", name, exc_info=found)
