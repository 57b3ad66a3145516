"""From file, environment and options to `Settings`. Raises `Invalid` with every fault of all three at once."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from edge_agent.errors import Fault, Invalid
from edge_agent.settings import toml
from edge_agent.settings.model import Settings
from edge_agent.wording import did_you_mean, faults_of

DEFAULT = "default"
Keys = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings; for every dotted key where its value came from; and what deserves a warning in the log."""

    settings: Settings
    provenance: Mapping[str, str]
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Given:
    """Values gathered so far, and who gave each."""

    values: dict[str, Any] = field(default_factory=dict)
    source: dict[Keys, str] = field(default_factory=dict)
    place: dict[Keys, tuple[str, int, int]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def put(self, path: Keys, value: Any, source: str, place: tuple[str, int, int]) -> None:
        table = self.values
        for step in path[:-1]:
            inner = table.setdefault(step, {})
            if not isinstance(inner, dict):
                return  # a section that is no table: the file's own fault says so
            table = inner
        table[path[-1]] = value
        self.source[path], self.place[path] = source, place

    def fault(self, path: Keys, message: str, hint: str = "") -> None:
        known = path
        while known and known not in self.place:
            known = known[:-1]
        file, line, column = self.place.get(known, ("configuration", 0, 0))
        self.faults.append(Fault(file, line, column, ".".join(path) or "file", message, hint))


def load(path: Path | None, env: Mapping[str, str], overrides: Mapping[str, object]) -> Loaded:
    """Read `path` (None: no file), then `EDGE_SECTION__KEY` from `env`, then `overrides` (dotted keys; None: not
    given)."""
    given = _Given()
    if path is not None:
        _take_file(given, path)
    for name, text in sorted(env.items()):
        _take_variable(given, name, text)
    for key, value in overrides.items():
        if value is not None:
            given.put(tuple(key.split(".")), value, "option", ("command line", 0, 0))
    _take_secret_files(given)
    try:
        settings = Settings.model_validate(given.values)
    except ValidationError as error:
        for where, message, hint in faults_of(error, Settings):
            given.fault(tuple(str(step) for step in where if not isinstance(step, int)), message, hint)
    if given.faults:
        raise Invalid(sorted(given.faults, key=lambda fault: (fault.file, fault.line)))
    provenance = {".".join(key): given.source.get(key, DEFAULT) for key in keys()}
    return Loaded(settings, provenance, tuple(given.warnings))


def keys(model: type[BaseModel] = Settings, prefix: Keys = ()) -> Iterator[Keys]:
    """The path of every setting there is."""
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from keys(info.annotation, (*prefix, name))
        else:
            yield (*prefix, name)


def _take_file(given: _Given, path: Path) -> None:
    document = toml.read(path)
    given.faults += document.faults
    given.place[()] = (document.name, 1, 1)

    def walk(values: Mapping[str, Any], prefix: Keys) -> None:
        for name, value in values.items():
            here = (*prefix, name)
            line, column = document.place(here)
            if isinstance(value, dict) and (not prefix or here in _tables()):
                given.place[here] = (document.name, line, column)
                given.values.setdefault(here[0], {})
                walk(value, here)
            else:
                is_path = here in _paths() and isinstance(value, str)
                found = str(path.absolute().parent / Path(value).expanduser()) if is_path else value
                given.put(here, found, f"{document.name}:{line}", (document.name, line, column))

    walk(document.values, ())


def _take_variable(given: _Given, name: str, text: str) -> None:
    """`EDGE_SECTION__KEY`, and `EDGE_KEY` for what stands outside sections. Others (EDGE_TEST_...) are not ours."""
    if not name.startswith("EDGE_"):
        return
    path = tuple(name.removeprefix("EDGE_").lower().split("__"))
    known = set(keys())
    if path not in known:
        if len(path) > 1:
            hint = did_you_mean(name, ["EDGE_" + "__".join(key).upper() for key in known])
            given.faults.append(Fault("environment", 0, 0, name, "is not a setting", hint if "mean" in hint else ""))
        return
    value: Any = text
    if path in _lists():
        value = [part.strip() for part in text.split(",") if part.strip()]
    elif path in _paths():
        value = str(Path(text).expanduser().absolute())
    given.put(path, value, f"environment {name}", (f"environment {name}", 0, 0))


def _take_secret_files(given: _Given) -> None:
    """Put what `x_file` holds in the place of `x`."""
    for key in keys():
        secret = (*key[:-1], key[-1].removesuffix("_file"))
        section = given.values.get(key[0])
        if not key[-1].endswith("_file") or not isinstance(section, dict) or not isinstance(section.get(key[-1]), str):
            continue
        file = Path(section[key[-1]])
        if secret in given.source:
            given.fault(key, f"and {secret[-1]} are both set", "keep the file, remove the other")
            continue
        try:
            text = file.read_text(encoding="utf-8").rstrip("\r\n")
            mode = stat.S_IMODE(file.stat().st_mode)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            given.fault(key, f"{file} cannot be read: {reason}", "check the path and who may read it")
            continue
        if mode & 0o004:
            given.warnings.append(f"{file} can be read by everybody on this machine: chmod 600 {file}")
        if not text:
            given.fault(key, f"{file} is empty", "write the secret into it")
        given.put(secret, text, f"file {file}", given.place[key])


def field_of(key: Keys) -> FieldInfo:
    """How the model declares one setting."""
    model: type[BaseModel] = Settings
    for step in key[:-1]:
        inner = model.model_fields[step].annotation
        assert isinstance(inner, type)
        model = inner
    return model.model_fields[key[-1]]


def _tables() -> set[Keys]:
    return {key[:-1] for key in keys()}


def _paths() -> set[Keys]:
    return {key for key in keys() if "Path" in str(field_of(key).annotation)}


def _lists() -> set[Keys]:
    return {key for key in keys() if "tuple" in str(field_of(key).annotation)}
