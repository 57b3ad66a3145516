"""What simulated boards measure: one module each, found by being there.

A module has `DEVICE` (what its boards are called: `tank` becomes tank-1, tank-2, ...), `ABOUT` (model and, per reading, unit,
class and range, as on the `about` topic) and a class `Profile(random)` with `measure(now: int) -> dict`, `now` in epoch ms.
The name of the profile is the module's, with dashes.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType

from edge_agent.errors import NotFound


@cache
def _profiles() -> dict[str, ModuleType]:
    found = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name.replace("_", "-"): importlib.import_module(f"{__name__}.{name}") for name in found}


def known() -> list[str]:
    """The names of all profiles."""
    return list(_profiles())


def find(name: str) -> ModuleType:
    """The profile called `name`. Errors: `NotFound`, which lists them."""
    try:
        return _profiles()[name]
    except KeyError:
        raise NotFound(f"no profile {name!r} (there are: {', '.join(known())})") from None
