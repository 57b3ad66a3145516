"""What pydantic found wrong, in words for the person who wrote the document.

In: a ValidationError and the model. Out: (path, message, hint) for every fault, path being keys and list positions.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Iterator
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

Path = tuple[str | int, ...]

_PLAIN = {
    "missing": "is missing",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a table of names and values",
    "model_type": "must be a table of names and values",
    "model_attributes_type": "must be a table of names and values",
    "path_type": "must be a path",
}


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that was probably meant, or an empty string."""
    found = difflib.get_close_matches(str(name).lower(), {k.lower(): k for k in known}, n=1, cutoff=0.6)
    return next((k for k in known if found and k.lower() == found[0]), "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint: the nearest known name, or all of them."""
    names = sorted(known)
    if meant := nearest(name, names):
        return f"did you mean {meant}?"
    return f"known here: {', '.join(names)}" if names else ""


def faults_of(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[Path, str, str]]:
    """Every fault of `error`, once each."""
    for found in error.errors(include_url=False):
        path = tuple(found["loc"])
        kind, context = found["type"], found.get("ctx", {})
        if kind == "extra_forbidden":
            yield path, "is not known", did_you_mean(str(path[-1]), _names_at(model, path[:-1]))
        elif kind == "value_error":
            message, _, hint = str(context["error"]).partition("; ")
            yield path, message, hint
        elif kind == "literal_error":
            choices = context["expected"].replace("'", "")
            yield (
                path,
                f"{found['input']!r} is not one of {choices}",
                did_you_mean(str(found["input"]), _words(choices)),
            )
        elif kind in _PLAIN:
            yield path, _PLAIN[kind], "" if kind == "missing" else f"it is {_shown(found['input'])}"
        else:
            yield path, found["msg"].replace("Input should be", "must be"), f"it is {_shown(found['input'])}"


def _words(choices: str) -> list[str]:
    return [word.strip() for word in choices.replace(" or ", ",").split(",")]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _names_at(model: type[BaseModel] | None, path: Path) -> list[str]:
    """The field names a document may use at `path`."""
    for step in path:
        if isinstance(step, int):
            continue
        named = {field.alias or name: field.annotation for name, field in (model.model_fields if model else {}).items()}
        model = _model_in(named.get(step))
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType, tuple, list):
        return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
    return None
