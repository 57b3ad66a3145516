"""Workers as processes of this machine.

runner       what the engine asks of it, and what it is told
environment  what a worker finds around it
output       what it prints
launcher     the agent's end of the keeper
keeper       the small process that starts workers, ends them and tidies up: `place` (a worker's), `process` (one of them),
             `strays` (who got away), `watch` (who uses too much), `cgroups` (the kernel's limits), `hierarchy` (where they are)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_agent.adapters.run_process.runner import Doors, ProcessRunner

__all__ = ["Doors", "ProcessRunner"]


def __getattr__(name: str) -> Any:
    """Loaded when asked for: the keeper has no use for it, and its memory is copied with each worker."""
    if name not in __all__:
        raise AttributeError(name)
    from edge_agent.adapters.run_process import runner

    return getattr(runner, name)
