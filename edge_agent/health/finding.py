"""What a check found: `Healthy`, or `Unwell` with what to do about it. Sentences for a person, not codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias


@dataclass(frozen=True, slots=True)
class Healthy:
    """All is well; `summary` says how well."""

    summary: str
    ok: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Unwell:
    """Something is wrong: what, what to do, and what does not work until then."""

    summary: str
    try_this: str
    blocks: tuple[str, ...] = ()
    ok: ClassVar[bool] = False


Finding: TypeAlias = Healthy | Unwell
