"""The accounts on disk: tokens, users and sessions, no secret readable in it. The only module that writes them.

In and out: `Ledger`. Guarantee: `save` returns when the new file is on disk in place of the old one; a crash leaves one or
the other, whole. The file is 0600. A file that cannot be read is an error that says so, never an empty start: that would
throw everyone out and let the next save destroy what was there.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from edge_agent.errors import EdgeError


class Token(msgspec.Struct, frozen=True):
    """`digest` is SHA-256 of the token in hex. Times are epoch ms; `expires_at` 0 is never."""

    name: str
    digest: str
    scopes: tuple[str, ...]
    created_at: int
    expires_at: int = 0


class User(msgspec.Struct, frozen=True):
    """`password` is argon2's encoded hash."""

    name: str
    password: str
    scopes: tuple[str, ...]
    created_at: int


class Session(msgspec.Struct, frozen=True):
    """`digest` is SHA-256 of the cookie in hex."""

    digest: str
    user: str
    scopes: tuple[str, ...]
    created_at: int
    expires_at: int


class Ledger(msgspec.Struct):
    version: int = 1
    tokens: dict[str, Token] = {}
    users: dict[str, User] = {}
    sessions: dict[str, Session] = {}


def load(path: Path) -> Ledger:
    """What was saved, or an empty ledger where there is no file. Errors: `EdgeError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Ledger)
    except FileNotFoundError:
        return Ledger()
    except (msgspec.DecodeError, OSError) as error:
        raise EdgeError(
            f"{path} cannot be read ({error}); restore it from a backup, or move it away to start anew"
        ) from error


def save(path: Path, ledger: Ledger) -> None:
    """Put `ledger` in place of what was there. Errors: OSError (disk full)."""
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(msgspec.json.format(msgspec.json.encode(ledger), indent=1))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
