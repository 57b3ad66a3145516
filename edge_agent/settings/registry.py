"""The registry that holds the images of functions: what each setting does and why the default is what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from edge_agent.settings.fields import Section


class Registry(Section):
    """Where `edgectl functions deploy` puts the images it builds, and where the cluster gets them."""

    address: Annotated[str, Field(pattern=r"^([a-z0-9.-]+(:[0-9]{1,5})?)?$")] = ""
    """`host:port` of the registry, as it stands in the names of images: registry.edge.internal:5000. Setting it has
    `edgectl functions deploy` build an image of each folder with a Containerfile. Default: none is built."""
    username: str = ""
    """Registry user; empty asks as nobody."""
    password: SecretStr = SecretStr("")
    """Registry password. `password_file` is better: this file is often readable by more people."""
    password_file: Path | None = None
    """File holding the registry password, its last newline ignored."""
    tls_ca: Path | None = None
    """PEM file of the CA that signed the registry's certificate. Default: those this machine trusts anyway. A registry
    without TLS is never spoken to."""
    platforms: tuple[str, ...] = ()
    """Processors to build for, such as `linux/arm64`, `linux/arm/v7`: what the nodes are. Default: this machine's own."""
