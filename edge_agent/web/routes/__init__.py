"""One file per noun, each with a `blueprint`; found by being here, there is no list to edit."""

from __future__ import annotations

import importlib
import pkgutil

from flask import Blueprint


def blueprints() -> list[Blueprint]:
    """Every file's blueprint, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return [importlib.import_module(f"{__name__}.{name}").blueprint for name in names]
