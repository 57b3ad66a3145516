"""Errors a person reads. Each says what is wrong and what to do; the command line turns them into exit codes."""

from __future__ import annotations

from dataclasses import dataclass


class EdgeError(Exception):
    """Anything the product reports on purpose; exit code 1."""


class Unavailable(EdgeError):
    """The other side (broker, store, cluster) is not there now; trying again may help. `delay` is seconds."""

    def __init__(self, message: str, delay: float = 1.0) -> None:
        super().__init__(message)
        self.delay = delay


class Refused(EdgeError):
    """The other side understood and said no (credentials, schema): trying again will not help."""


class NotFound(EdgeError):
    """There is no such device, rule, function, alert or invocation."""


class Conflict(EdgeError):
    """It was changed since it was read (HTTP 412), or exists already."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one document: where, which field, what, and a hint. `line` 0: the "file" is not one (an option,
    an environment variable) and has no lines."""

    file: str
    line: int
    column: int
    field: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.field}: {self.message}{hint}"


class Invalid(EdgeError):
    """One or more documents are wrong; carries every fault at once; exit code 2."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults
