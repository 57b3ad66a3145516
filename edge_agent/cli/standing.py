"""How a function stands, in words: where it is declared, what its next start waits for, how many wait in advance and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_agent.cli import printing

State = dict[str, Any]
_SAID_OTHERWISE = (
    "min_idle", "schedule", "override", "concurrency", "panic", "delayed", "advice", "last_error", "last_error_kind",
    "next_start", "trying",
)  # fmt: skip


def waits(state: State) -> str:
    """Why the next start of a worker waits; empty: it does not."""
    return str((state.get("delayed") or {}).get("why", ""))


def where(item: State) -> str:
    """Where it is declared, and so where to change it: `cluster` (kubectl), `api` (edgectl apply), or the name of a file."""
    by = item.get("declared_by")
    return str(by if by in ("cluster", "api") else Path(str(item.get("origin") or "")).name)


def minimum(state: State) -> str:
    """`4 (scaled by hand)`: how many are to wait in advance."""
    number = state.get("min_idle", 0)
    if state.get("override") is not None:
        return f"{number} (scaled by hand)"
    if window := state.get("schedule"):
        return f"{number} (until {printing.when(window.get('until'))})"
    return str(number)


def told(state: State) -> State:
    """The same state with what people look for in words, the rest as it is; empty where there is nothing to say."""
    plain = {key: value for key, value in state.items() if key not in _SAID_OTHERWISE}
    trying = state.get("trying")
    return plain | {
        "min idle": minimum(state) if state.get("min_idle") or state.get("override") is not None else "",
        "rush": "many more events than workers" if state.get("panic") else "",
        "waits": waits(state),
        "advice": state.get("advice", ""),
        "cannot start": state.get("last_error", ""),
        "next start in seconds": state.get("next_start", 0),
        "trying": f"a new version for {trying['seconds']:.0f} s" if trying else "",
    }
