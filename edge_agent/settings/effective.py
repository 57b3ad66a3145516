"""The configuration told back: what is in effect and where it came from, and what every setting means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import BeforeValidator, SecretStr
from pydantic.fields import FieldInfo

from edge_agent.domain.durations import format_duration
from edge_agent.domain.quantities import format_size, parse_size
from edge_agent.settings.fields import seconds
from edge_agent.settings.loading import Loaded, field_of, keys
from edge_agent.settings.model import Settings

MASK = "********"
_CREDENTIALS = re.compile(r"(?<=://)([^/@:]*):([^/@]*)@")


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the reference."""

    key: str
    default: str
    text: str


def effective(loaded: Loaded) -> list[tuple[str, str, str]]:
    """(key, value, where it came from) for every setting, secrets masked: what the agent logs at start."""
    return [
        (key, shown(_value(loaded.settings, path := tuple(key.split("."))), field_of(path)), source)
        for key, source in loaded.provenance.items()
    ]


def reference() -> list[Setting]:
    """Every setting with its default and its explanation."""
    found = []
    for key in keys():
        field = field_of(key)
        found.append(Setting(".".join(key), shown(field.default, field), " ".join((field.description or "").split())))
    return found


def shown(value: Any, field: FieldInfo | None = None) -> str:
    """A value as one would write it, never a secret."""
    readers = [part.func for part in field.metadata if isinstance(part, BeforeValidator)] if field else []
    if seconds in readers and value is not None:
        return format_duration(value)
    if parse_size in readers and value is not None:
        return format_size(value)
    match value:
        case SecretStr():
            return MASK if value.get_secret_value() else '""'
        case None:
            return "-"
        case bool():
            return str(value).lower()
        case tuple():
            return "[" + ", ".join(map(str, value)) + "]"
        case str():
            return _CREDENTIALS.sub(rf"\1:{MASK}@", value) or '""'
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def _value(settings: Settings, key: tuple[str, ...]) -> Any:
    value: Any = settings
    for step in key:
        value = getattr(value, step)
    return value
