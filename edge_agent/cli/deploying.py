"""`edgectl functions deploy` and `versions`: a new version while events flow, and the way back."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from edge_agent.cli import imaging, printing
from edge_agent.cli.client import Agent
from edge_agent.cli.options import named, output, with_agent
from edge_agent.domain.quantities import format_size
from edge_agent.errors import EdgeError

LOOK = 0.2
"""Seconds between two looks at how it goes."""
COLUMNS: list[printing.Column] = [
    ("version", lambda v: v["version"]),
    ("state", lambda v: v["state"]),
    ("deployed", lambda v: printing.ago(v["deployed_at"])),
    ("size", lambda v: format_size(v["size"]) if v.get("size") else ""),
    ("from", lambda v: v.get("origin")),
    ("reason", lambda v: (v.get("reason") or "").partition("; it printed")[0]),
]


@click.command()
@click.argument("what", metavar="FOLDER|NAME", shell_complete=named("functions"))
@click.option("--image", help="Run this image; nothing is built.")
@click.option(
    "--platform", "platforms", multiple=True, help="Build for this processor, such as linux/arm64; several times."
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Configuration with the [registry] to push to. Default: /etc/edge-agent/edge.toml, and EDGE_REGISTRY__ADDRESS.",
)
@click.option("--rollback", is_flag=True, help="Go back to the version of NAME that served before.")
@click.option(
    "--to", "version", default="", help="With --rollback: go back to this version (edgectl functions versions)."
)
@click.option("--dry-run", is_flag=True, help="Let the agent judge it; change nothing.")
@output()
@with_agent
def deploy(
    agent: Agent,
    what: str,
    image: str | None,
    platforms: tuple[str, ...],
    config: Path | None,
    rollback: bool,
    version: str,
    dry_run: bool,
    output: str,
) -> None:
    """Roll a function's folder out while events flow. The agent starts a worker of it beside the version that serves, and lets
    it take over once it asks for an event; when it cannot start, everything stays as it was (exit 1).

    Without a registry the agent keeps a copy of the folder. With one ([registry] in the configuration) a folder with a
    Containerfile is built into an image here, by buildah, and pushed; the agent is given its digest.

    \b
    Example:
      edgectl functions deploy tank-advice/
      edgectl functions deploy tank-advice --rollback
    """
    if (version or rollback) and image:
        raise click.UsageError("--image and --rollback do not go together")
    if version and not rollback:
        raise click.UsageError("--to goes with --rollback")
    if rollback:
        name, body = _name(what), {"version": version or "previous"}
    else:
        name, body = _asked(Path(what), image, platforms, config, dry_run=dry_run)
    told = agent.post("functions", name, "deployments", body=body, dry_run="true" if dry_run else "")
    if told["state"] == "trying":
        told = _watch(agent, name, told["version"])
    if output != "table":
        printing.one(told, output, ())
    elif told["state"] == "failed":
        raise EdgeError(
            f"version {told['version']} of {name} cannot start, and what was there goes on: {told['reason']}"
        )
    else:
        word = {"live": "serves", "unchanged": "serves already"}.get(told["state"], told["state"])
        click.echo(f"{name}: version {told['version']} {word}")
    if told["state"] == "failed":
        sys.exit(1)


@click.command()
@click.argument("name", shell_complete=named("functions"))
@output()
@with_agent
def versions(agent: Agent, name: str, output: str) -> None:
    """Versions of a function that were deployed, the newest first, and how the newest deployment went.

    \b
    Example:
      edgectl functions versions tank-advice
    """
    none = f"no version of {name} was deployed; edgectl functions deploy FOLDER does"
    printing.items(agent.items("functions", name, "versions"), output, COLUMNS, none)


def _name(what: str) -> str:
    """A function's name, also when somebody gives the folder it was made in."""
    return Path(what).resolve().name if "/" in what else what


def _asked(
    folder: Path, image: str | None, platforms: tuple[str, ...], config: Path | None, *, dry_run: bool
) -> tuple[str, dict[str, Any]]:
    """(the function's name, what to ask the agent). Errors: `Invalid`, `UsageError`."""
    from edge_agent.manifests import load_paths

    if not folder.is_dir():
        hint = "name the folder with its manifest; edgectl functions new makes one"
        raise click.BadParameter(f"{folder} is no folder: {hint}", param_hint="FOLDER")
    found = load_paths([folder], alone=True)
    if len(found.functions) != 1:
        there = f"declares {', '.join(found.functions)}" if found.functions else "has no manifest of a function in it"
        raise click.BadParameter(f"{folder} {there}; one folder is one function", param_hint="FOLDER")
    (name,) = found.functions
    if found.rules:
        click.echo(f"its rules are not deployed: edgectl apply -f {folder}", err=True)
    settings = imaging.settings(config) if image is None else None
    if settings is not None and imaging.wanted(folder, settings):
        local = f"{settings.registry.address}/{name}:dry-run"
        image = local if dry_run else imaging.publish(folder, name, settings, platforms)
    if image is None:
        if platforms:
            hint = "an image is built where the configuration has a [registry] and the folder a Containerfile"
            raise click.UsageError(f"--platform goes with an image: {hint}")
        return name, {"folder": str(folder.resolve())}
    manifest = found.documents["Function", name]
    spec = {key: value for key, value in manifest["spec"].items() if key != "source"} | {"image": image}
    return name, {"manifest": {**manifest, "spec": spec}}


def _watch(agent: Agent, name: str, version: str) -> dict[str, Any]:
    """How the trial ends; on a terminal say that it goes on."""
    began, shown = time.monotonic(), sys.stderr.isatty()
    while True:
        tried = next((v for v in agent.items("functions", name, "versions") if v["version"] == version), None)
        if tried is not None and tried["state"] != "trying":
            if shown:
                click.echo("\r\x1b[K", nl=False, err=True)
            return {"function": name, **tried}
        if shown:
            seconds = time.monotonic() - began
            click.echo(f"\r\x1b[Kversion {version} is started beside the old one: {seconds:.0f} s", nl=False, err=True)
        time.sleep(LOOK)
