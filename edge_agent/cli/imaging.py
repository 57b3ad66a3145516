"""A folder becomes an image before it is deployed, where the configuration names a registry.

In: the folder, the configuration. Out: the image's name by digest. It is built here, with the rights of who deploys, and never
by the agent: what a Containerfile says is commands.
"""

from __future__ import annotations

import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edge_agent.settings import Settings

DEFAULT = Path("/etc/edge-agent/edge.toml")
TAG = "%Y%m%dT%H%M%SZ"


def settings(config: Path | None) -> Settings:
    """Of `config`; of the appliance's own file where there is one that may be read. Errors: `Invalid`."""
    from edge_agent.settings import load

    if config is None and os.access(DEFAULT, os.R_OK):
        config = DEFAULT
    return load(config, os.environ, {}).settings


def wanted(folder: Path, found: Settings) -> bool:
    """Is an image to be built of this folder?"""
    return bool(found.registry.address) and any((folder / name).is_file() for name in ("Containerfile", "Dockerfile"))


def publish(folder: Path, name: str, found: Settings, platforms: tuple[str, ...]) -> str:
    """Build and push; `registry/name@sha256:...`. Errors: `Invalid`, `Refused`, `Unavailable`."""
    from edge_agent.adapters.images_buildah import Access, Images, Recipe

    registry = found.registry
    access = Access(registry.address, registry.username, registry.password.get_secret_value(), registry.tls_ca)
    tag = datetime.now(UTC).strftime(TAG)
    recipe = Recipe(folder, name, tag, platforms or registry.platforms)
    image = Images(access, _say).publish(recipe)
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)
    click.echo(f"{name}: built and pushed {registry.address}/{name}:{tag}", err=True)
    return image


def _say(line: str) -> None:
    """On a terminal one line that changes, else each."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        click.echo(f"\r\x1b[K{line[:width]}", nl=False, err=True)
    else:
        click.echo(line, err=True)
