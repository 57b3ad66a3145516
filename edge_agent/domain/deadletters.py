"""Which dead letters are meant: what `list`, `redrive` and `purge` have in common."""

from __future__ import annotations

import msgspec


class Selection(msgspec.Struct, frozen=True):
    """All that is said must hold; "" and 0 say nothing. `since` <= died < `until`, epoch ms. `device` is the one the event
    came from: its id begins with it (INTERFACE: The event a function gets)."""

    id: str = ""
    function: str = ""
    kind: str = ""
    device: str = ""
    since: int = 0
    until: int = 0
