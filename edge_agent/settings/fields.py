"""What settings are made of: sections, and how durations, sizes, ports and names are written."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from edge_agent.domain.durations import parse_duration
from edge_agent.domain.quantities import parse_cpu, parse_size


def seconds(value: object) -> float:
    """A duration with its unit; or a bare number, for the text under each setting says that it means seconds."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return float(value)
    return parse_duration(value if isinstance(value, str) else repr(value))


Seconds = Annotated[float, BeforeValidator(seconds)]
Bytes = Annotated[int, BeforeValidator(parse_size)]
Cores = Annotated[float, BeforeValidator(parse_cpu)]
Port = Annotated[int, Field(ge=0, le=65535)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,63}$")]


class Section(BaseModel):
    """Frozen; a key that is not listed is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)
