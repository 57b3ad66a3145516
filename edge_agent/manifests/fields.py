"""What single fields of a Function manifest may hold: each reads one value, or raises ValueError("what; hint")."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import BeforeValidator

from edge_agent.domain import filters
from edge_agent.domain.durations import parse_duration
from edge_agent.domain.quantities import parse_cpu, parse_size
from edge_agent.domain.topics import is_name

_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)


def text(value: Any) -> Any:
    """YAML's bare `25` or `true` where text is meant: what was written is what was meant."""
    if isinstance(value, float):
        raise ValueError(f"{value} is a number; put it in quotes, so that 1.10 stays 1.10")  # noqa: TRY004
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else value


def name(value: Any) -> Any:
    if isinstance(value, str) and not is_name(value):
        raise ValueError(f"{value!r} is no name; 1 to 63 of a-z, 0-9 and -")
    return value


def address(value: Any) -> Any:
    """`10.0.0.2:25`, `10.0.0.0/24`, `[fd00::1]:25`: what a network policy can say."""
    written = text(value)
    if not isinstance(written, str):
        raise ValueError(f"{value!r} is no address; write for example 10.0.0.2:25")  # noqa: TRY004
    host, port = written, ""
    if bracketed := re.fullmatch(r"\[(.+)\](?::(\d+))?", written):
        host, port = bracketed[1], bracketed[2] or ""
    elif written.count(":") == 1:
        host, port = written.split(":")
        if not port:
            raise ValueError(f"{written!r} has a colon and no port; write for example {host}:25")
    if port and not (port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{port!r} is no port; 1 to 65535")
    try:
        ipaddress.ip_network(host, strict=False)
    except ValueError:
        if re.fullmatch(r"[0-9a-fA-F:./]+", host) and re.search(r"\d", host):
            raise ValueError(f"{host!r} is no IP address; write for example 10.0.0.2:25") from None
        raise ValueError(
            f"{host!r} is a name, and a network policy knows addresses only; "
            f"write the address it has on your network (getent hosts {host}), with a fixed DHCP lease"
        ) from None
    return written


def topic_filter(value: Any) -> Any:
    """A Topic Filter (MQTT 5, 4.7.1)."""
    if isinstance(value, str):
        message, hint = filters.fault(value)
        if message:
            raise ValueError(f"{message}; {hint}")
    return value


def cron(value: Any) -> Any:
    """Five fields, as Debian's cron has them."""
    if isinstance(value, str):
        try:
            next(CronSim(value if len(value.split()) == 5 else "", _SOME_DAY))
        except (CronSimError, StopIteration) as error:
            said = str(error).replace("Bad", "bad").replace("Wrong", "wrong") or "it never comes"
            raise ValueError(
                f"{value!r} is no cron expression: {said}; minute hour day month weekday, for example */5 * * * *"
            ) from None
    return value


def time_zone(value: Any) -> Any:
    if isinstance(value, str):
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{value!r} is no time zone; write for example Europe/Dublin or UTC") from None
    return value


def duration(value: Any) -> float:
    return parse_duration(value if isinstance(value, str) else repr(value))


Seconds = Annotated[float, BeforeValidator(duration)]
Text = Annotated[str, BeforeValidator(text)]
Name = Annotated[str, BeforeValidator(name)]
Bytes = Annotated[int, BeforeValidator(parse_size)]
Cores = Annotated[float, BeforeValidator(parse_cpu)]
Address = Annotated[str, BeforeValidator(address)]
TopicFilter = Annotated[str, BeforeValidator(topic_filter)]
Cron = Annotated[str, BeforeValidator(cron)]
TimeZone = Annotated[str, BeforeValidator(time_zone)]
