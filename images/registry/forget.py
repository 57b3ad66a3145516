#!/usr/bin/env python3
"""Has the registry forget images that no function uses: all but the newest of each, and whatever is named on standard input.

    edgectl get functions --output json | images/registry/forget.py --keep 5 --dry-run

Standard input: any text with the names of images that are in use (by tag or digest). Nothing there is an error, for an agent
that could not be asked is no leave to delete. Space is freed afterwards, by `collect`. Needs Python alone.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

INDEX = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
SINGLE = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
MOST = 100
"""Names in one answer; docker-registry 2.8.2 refuses to give more than a thousand."""


class Registry:
    def __init__(self, address: str, ca: Path | None, user: str, password: str) -> None:
        self.address = address
        self._context = ssl.create_default_context(cafile=ca)
        self._headers = {"Accept": ", ".join([*INDEX, *SINGLE])}
        if user:
            self._headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def ask(self, method: str, path: str) -> tuple[Any, dict[str, str]]:
        request = urllib.request.Request(f"https://{self.address}/v2/{path}", method=method, headers=self._headers)
        with urllib.request.urlopen(request, context=self._context, timeout=30) as answer:  # noqa: S310 - https, above
            body = answer.read()
            return json.loads(body) if body else None, {name.lower(): value for name, value in answer.headers.items()}

    def repositories(self) -> list[str]:
        found: list[str] = []
        while True:
            more = (
                self.ask("GET", f"_catalog?n={MOST}" + (f"&last={found[-1]}" if found else ""))[0]["repositories"] or []
            )
            found += more
            if len(more) < MOST:
                return found

    def tags(self, repository: str) -> list[str]:
        try:
            return self.ask("GET", f"{repository}/tags/list")[0]["tags"] or []
        except urllib.error.HTTPError as error:
            if error.code == 404:  # its last one was deleted
                return []
            raise

    def manifest(self, repository: str, reference: str) -> tuple[str, Any]:
        """(digest, document)"""
        document, headers = self.ask("GET", f"{repository}/manifests/{reference}")
        return headers["docker-content-digest"], document


def unused(registry: Registry, used: str, keep: int) -> Iterator[tuple[str, str, str]]:
    """(repository, tag, digest) of what may go: an image for several processors after the list that names it."""
    for repository in registry.repositories():
        if repository.startswith("edge/"):  # the bases
            continue
        tags = sorted(registry.tags(repository), reverse=True)  # deploy's tags begin with the time
        found = {tag: registry.manifest(repository, tag) for tag in tags}
        named = set(re.findall(rf"/{re.escape(repository)}[:@](sha256:[0-9a-f]{{64}}|[\w.-]+)", used))
        kept: set[str] = set()
        for place, (tag, (digest, document)) in enumerate(found.items()):
            if place < keep or tag in named or digest in named:
                kept |= {digest, *parts(document)}
        for tag, (digest, document) in found.items():
            for gone in (digest, *parts(document)):
                if gone not in kept:
                    kept.add(gone)
                    yield repository, tag, gone


def parts(document: Any) -> list[str]:
    return [part["digest"] for part in document.get("manifests", ())]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--registry", default="registry.edge.internal:5000")
    parser.add_argument("--ca", type=Path, help="PEM file of the CA that signed its certificate")
    parser.add_argument("--username", default="edge")
    parser.add_argument("--password-file", type=Path)
    parser.add_argument("--keep", type=int, default=5, help="newest versions of each function (default 5)")
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    asked = parser.parse_args()
    used = "" if sys.stdin.isatty() else sys.stdin.read()
    if not used.strip():
        print(
            "nothing on standard input says what is in use: edgectl get functions --output json | ...", file=sys.stderr
        )
        return 2
    password = asked.password_file.read_text().rstrip("\n") if asked.password_file else ""
    registry = Registry(asked.registry, asked.ca, asked.username if password else "", password)
    try:
        for repository, tag, digest in list(unused(registry, used, asked.keep)):
            if not asked.dry_run:
                registry.ask("DELETE", f"{repository}/manifests/{digest}")
            print(f"{'would forget' if asked.dry_run else 'forgot'} {repository}:{tag} {digest}")
    except (OSError, KeyError, ValueError) as error:
        print(f"the registry at {asked.registry} says: {error}; nothing more was deleted", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
