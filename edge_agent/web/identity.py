"""Who is asking, and what that allows. Pure.

Scopes: `read` < `operate` < `admin`, each including the ones before; `ingest` (every device) and `ingest:<device>` let a
publisher publish and nothing else; `admin` includes `ingest`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge_agent.domain.topics import is_name

RANKS = {"read": 1, "operate": 2, "admin": 3}


@dataclass(frozen=True, slots=True)
class Identity:
    """`kind` is `token`, `session` or `socket`; `name` is the token's or the user's, for the record and for limits."""

    name: str
    kind: str
    scopes: tuple[str, ...]

    def may(self, scope: str, device: str = "") -> bool:
        """Whether `scope` is granted; for `ingest`, on `device`."""
        rank = max((RANKS.get(held, 0) for held in self.scopes), default=0)
        if scope == "ingest":
            return rank == RANKS["admin"] or "ingest" in self.scopes or f"ingest:{device}" in self.scopes
        return rank >= RANKS[scope]


def is_scope(text: str) -> bool:
    """Whether `text` is one of the scopes, spelled right."""
    kind, separator, device = text.partition(":")
    return text in RANKS or text == "ingest" or (kind == "ingest" and bool(separator) and is_name(device))


def wrong_scopes(scopes: Iterable[str]) -> list[str]:
    return [scope for scope in scopes if not is_scope(scope)]
