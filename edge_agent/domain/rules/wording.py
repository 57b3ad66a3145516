"""What a rule says: message templates such as `{device} is down to {value} %`.

Text enters once, at load, and is refused there if it could fail later; afterwards it renders for any values. There is
no attribute access, no index and no conversion: not `str.format`, which would hand a manifest the insides of the agent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from edge_agent.domain.reading import Value
from edge_agent.domain.topics import is_name

FIELDS = ("device", "reading", "value", "previous", "rule", "severity", "state", "unit")
LONGEST_TEMPLATE = 500
LONGEST_MESSAGE = 1000
"""Characters. A message ends on a phone; a string reading repeated in it must not fill the journal."""

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_DIGITS = re.compile(r"\.[0-9]f", re.ASCII)


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template: literal text and (field, number format) pairs in turn."""

    parts: tuple[str | tuple[str, str], ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Raises `ValueError` with a sentence for the user when a field is not one of `FIELDS` or a reading's name."""
        if len(text) > LONGEST_TEMPLATE:
            raise ValueError(f"is {len(text)} characters long, {LONGEST_TEMPLATE} are allowed")
        parts: list[str | tuple[str, str]] = []
        end = 0
        for token in _TOKEN.finditer(text):
            parts.append(text[end : token.start()])
            end = token.end()
            if token[0] in ("{{", "}}"):
                parts.append(token[0][0])
            elif token[1] is None:
                raise ValueError(
                    f"has a lone {token[0]!r} at character {token.start() + 1}; write it twice to mean itself"
                )
            else:
                parts.append(_field(token[1]))
        parts.append(text[end:])
        return cls(tuple(part for part in parts if part))

    def uses(self, field: str) -> bool:
        return any(part[0] == field for part in self.parts if isinstance(part, tuple))

    def render(self, fields: Mapping[str, Value | None], readings: Mapping[str, Value]) -> str:
        """The message. A field that has no value reads `unknown`, a missing unit reads as nothing."""
        said = [
            part if isinstance(part, str) else show(fields.get(part[0], readings.get(part[0])), part[1])
            for part in self.parts
        ]
        return "".join(said).strip()[:LONGEST_MESSAGE]


def _field(text: str) -> tuple[str, str]:
    name, colon, digits = text.partition(":")
    if not is_name(name):
        raise ValueError(f"has the field {{{text}}}, which is none of {', '.join(FIELDS)} and no reading's name")
    if colon and not _DIGITS.fullmatch(digits):
        raise ValueError(f"formats {{{text}}} in a way that is not known; only digits, as in {{{name}:.1f}}")
    return name, digits


def show(value: Value | None, digits: str = "") -> str:
    """A value as people write it: 18.2, 3, true. Control characters of a string become spaces."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "".join(letter if letter.isprintable() else " " for letter in value)
    if digits:
        return format(value, digits)
    if isinstance(value, int) or not 1e-4 <= abs(value) < 1e15:
        return str(value) if value else "0"
    return f"{value:.6f}".rstrip("0").rstrip(".")
