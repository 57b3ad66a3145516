"""How buildah gets at the registry: a folder with its CA, a file with user and password, both for the length of one command.

Guarantee: a password is never among the words of a command, which every user of a machine may read.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_agent.errors import Refused


@dataclass(frozen=True, slots=True)
class Access:
    """`address` as in the names of images. No `username`: whoever `buildah login` has made known. `ca`: a PEM file."""

    address: str
    username: str = ""
    password: str = ""
    ca: Path | None = None

    @contextmanager
    def options(self) -> Iterator[list[str]]:
        """buildah's options, good inside the `with`. Errors: `Refused` when the CA cannot be read."""
        with tempfile.TemporaryDirectory(prefix="edge-registry-") as name:
            folder, options = Path(name), []
            if self.ca is not None:
                try:
                    (folder / "ca.crt").write_bytes(self.ca.read_bytes())
                except OSError as error:
                    raise Refused(f"the registry's CA {self.ca} cannot be read: {error.strerror}") from error
                options += ["--cert-dir", name]
            if self.username:
                word = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
                auth = folder / "auth.json"
                auth.write_text(json.dumps({"auths": {self.address: {"auth": word}}}))  # in a folder of mode 0700
                options += ["--authfile", str(auth)]
            yield options
