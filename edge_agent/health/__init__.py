"""Is the appliance well, and if not, what does one do about it? Each check is a file in `checks/`, found by being there.

Enters: a `Context`, what a check may look at. Leaves: a `Finding` of every check, by name.
Guarantee: every check is asked and none can stop the others; one that fails is itself a finding.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import TypeAlias

from edge_agent.health import checks
from edge_agent.health.context import Broker, Context, Journal
from edge_agent.health.finding import Finding, Healthy, Unwell

__all__ = ["Broker", "Check", "Context", "Finding", "Healthy", "Journal", "Unwell", "every_check", "run_checks"]

Check: TypeAlias = Callable[[Context], Finding]


def every_check() -> dict[str, Check]:
    """{name: check} of each file in `checks/`, by name."""
    names = sorted(found.name for found in pkgutil.iter_modules(checks.__path__))
    return {name: importlib.import_module(f"{checks.__name__}.{name}").check for name in names}


def run_checks(context: Context) -> list[tuple[str, Finding]]:
    """Ask every check. It reads files and may start `vcgencmd`: a few milliseconds, at most some seconds."""
    return [(name, _finding(check, context)) for name, check in every_check().items()]


def _finding(check: Check, context: Context) -> Finding:
    try:
        return check(context)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other checks are asked
        return Unwell(
            f"could not be checked: {type(error).__name__}: {error}",
            try_this="run `edgectl doctor` as the user the agent runs as; if it stays, report it with `edgectl report`",
        )
