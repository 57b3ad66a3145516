"""Check configuration and manifests, and tell every fault with its place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_agent.errors import Fault, Invalid

if TYPE_CHECKING:
    from edge_agent.settings import Loaded


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="Configuration file (TOML).")
@click.option("--explain", is_flag=True, help="Print every setting, its default and what it does.")
@click.option("--effective", "show", is_flag=True, help="Print what is in effect and where each value came from.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
def command(config: Path | None, explain: bool, show: bool, paths: tuple[Path, ...]) -> None:
    """Check configuration and manifests (files or folders); nothing is changed, no agent is needed.

    Faults are printed as file:line:column: field: message (hint). Without PATH, the configuration's manifest folder is
    checked when it exists.

    \b
    Example:
      edgectl check --config /etc/edge-agent/edge.toml manifests/
      edgectl check --explain | less
    """
    from edge_agent.settings import effective, load, reference

    if explain:
        for setting in reference():
            click.echo(f"{setting.key} = {setting.default}")
            click.echo(click.wrap_text(setting.text, 100, initial_indent="    ", subsequent_indent="    ") + "\n")
        return
    faults: list[Fault] = []
    loaded = None
    try:
        loaded = load(config, os.environ, {})
    except Invalid as error:
        faults += error.faults
    if loaded:
        faults += _check_dialects(loaded)
        for warning in loaded.warnings:
            click.echo(f"warning: {warning}", err=True)
        if show:
            for key, value, source in effective(loaded):
                click.echo(f"{key} = {value}  # {source}")
        if not paths and loaded.settings.manifests_dir.is_dir():
            paths = (loaded.settings.manifests_dir,)
    counts = _check_manifests(paths, faults, images=bool(loaded and loaded.settings.functions.runner == "kubernetes"))
    if faults:
        raise Invalid(faults)
    parts = ["the configuration"] if config else []
    click.echo(f"{' and '.join([*parts, *counts]) or 'the configuration'}: no faults", err=show)


def _check_dialects(loaded: Loaded) -> list[Fault]:
    from edge_agent.decode import known
    from edge_agent.wording import did_you_mean

    wrong = [name for name in loaded.settings.mqtt.dialects if name not in known()]
    place = loaded.provenance["mqtt.dialects"]
    return [
        Fault(place, 0, 0, "mqtt.dialects", f"{name!r} is no dialect", did_you_mean(name, known())) for name in wrong
    ]


def _check_manifests(paths: tuple[Path, ...], faults: list[Fault], *, images: bool) -> list[str]:
    """What was looked at, in words; what is wrong goes into `faults`. `images`: a function has to be one."""
    if not paths:
        return []
    from edge_agent.manifests import load_paths

    try:
        found = load_paths(paths)
    except Invalid as error:
        faults += error.faults
        return []
    if images:
        hint = "edgectl functions deploy FOLDER makes one of its source; pods run nothing else"
        without = [name for name, function in sorted(found.functions.items()) if not function.image]
        faults += [Fault(f"function {name}", 0, 0, "spec.image", "is missing", hint) for name in without]
    return [f"{len(found.rules)} rules", f"{len(found.functions)} functions"]
