"""Accounts: tokens for machines, users and sign-in links for people, sessions for browsers.

In: what a client presents. Out: an `Identity`, or None. Guarantee: secrets are 256 random bits, kept as SHA-256 (nothing to
guess, so nothing slower is needed) or, for passwords, as argon2id; a sign-in link works once, for ten minutes, and lives in
memory only; what `create_...` returns is shown once and cannot be had again.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import argon2

from edge_agent.errors import Conflict, Fault, Invalid, NotFound, Unavailable
from edge_agent.ports import Clock
from edge_agent.web import accounts_file
from edge_agent.web.accounts_file import Ledger, Session, Token, User
from edge_agent.web.identity import Identity, wrong_scopes

LINK_LIFETIME = 10 * 60 * 1000
SESSION_LIFETIME = 30 * 24 * 3600 * 1000
MOST_LINKS = 100
MOST_SESSIONS = 500
SHORTEST_PASSWORD = 10
Json = dict[str, Any]


class Accounts:
    """Thread-safe. `path` is the file; `clock` gives epoch milliseconds. Errors: `EdgeError` when the file is unreadable."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._lock = threading.Lock()
        self._ledger: Ledger = accounts_file.load(path)
        self._links: dict[str, tuple[str, tuple[str, ...], int]] = {}
        # OWASP's argon2id minimum: 19 MiB, which a Pi with 512 MB can spare, and one at a time (the lock).
        self._hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._hashing = threading.Lock()
        self._nobody = self._hasher.hash(secrets.token_hex())

    # tokens

    def create_token(self, name: str, scopes: Iterable[str], *, expires_at: int = 0) -> str:
        """A new token, shown this once. Errors: `Invalid`, `Conflict` (the name is taken)."""
        wanted = tuple(dict.fromkeys(scopes))
        _check(name, wanted)
        token = "edge_" + secrets.token_urlsafe(32)
        with self._lock:
            if name in self._ledger.tokens:
                raise Conflict(f"there is a token {name!r} already; remove it first, or choose another name")
            now = self._clock()
            entry = Token(name, _digest(token), wanted, now, expires_at)
            self._keep(tokens={**self._ledger.tokens, name: entry})
        return token

    def tokens(self) -> list[Json]:
        """[{"name","scopes","created_at","expires_at","expired"}] by name; never the token."""
        now = self._clock()
        return [
            {
                "name": token.name,
                "scopes": list(token.scopes),
                "created_at": token.created_at,
                "expires_at": token.expires_at or None,
                "expired": _is_over(token.expires_at, now),
            }
            for token in sorted(self._ledger.tokens.values(), key=lambda token: token.name)
        ]

    def remove_token(self, name: str) -> None:
        with self._lock:
            self._keep(tokens=_without(self._ledger.tokens, name, "token"))

    def token(self, presented: str) -> Identity | None:
        """Who holds this token; None when nobody does any more."""
        found = _find(self._ledger.tokens.values(), presented)
        if found is None or _is_over(found.expires_at, self._clock()):
            return None
        return Identity(found.name, "token", found.scopes)

    # users

    def add_user(self, name: str, password: str, scopes: Iterable[str] = ("read", "operate")) -> None:
        """Errors: `Invalid`, `Conflict`."""
        wanted = tuple(dict.fromkeys(scopes))
        _check(name, wanted)
        hashed = self._hash(password)
        with self._lock:
            if name in self._ledger.users:
                raise Conflict(f"there is a user {name!r} already")
            self._keep(users={**self._ledger.users, name: User(name, hashed, wanted, self._clock())})

    def set_password(self, name: str, password: str) -> None:
        """Also ends every session of that user."""
        hashed = self._hash(password)
        with self._lock:
            user = self._ledger.users.get(name)
            if user is None:
                raise NotFound(f"there is no user {name!r}")
            users = {**self._ledger.users, name: User(name, hashed, user.scopes, user.created_at)}
            self._keep(users=users, sessions=self._sessions_without(name))

    def remove_user(self, name: str) -> None:
        with self._lock:
            users = _without(self._ledger.users, name, "user")
            self._keep(users=users, sessions=self._sessions_without(name))

    def users(self) -> list[Json]:
        """[{"name","scopes","created_at"}] by name."""
        return [
            {"name": user.name, "scopes": list(user.scopes), "created_at": user.created_at}
            for user in sorted(self._ledger.users.values(), key=lambda user: user.name)
        ]

    def sign_in(self, name: str, password: str) -> str | None:
        """A new session's cookie, or None. Takes as long for a user who does not exist."""
        user = self._ledger.users.get(name)
        with self._hashing:
            try:
                self._hasher.verify(user.password if user else self._nobody, password)
            except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
                return None
        return self._open_session(user.name, user.scopes) if user else None

    # sign-in links

    def create_link(self, scopes: Iterable[str] = ("admin",), *, user: str = "owner") -> str:
        """The token of a sign-in link: goes into the fragment of /signin#<token>, works once, for ten minutes."""
        wanted = tuple(scopes)
        _check(user, wanted)
        link = secrets.token_urlsafe(32)
        with self._lock:
            now = self._clock()
            self._links = {digest: entry for digest, entry in self._links.items() if entry[2] > now}
            while len(self._links) >= MOST_LINKS:
                self._links.pop(next(iter(self._links)))
            self._links[_digest(link)] = (user, wanted, now + LINK_LIFETIME)
        return link

    def redeem_link(self, link: str) -> str | None:
        """Use up a link: a new session's cookie; None when it was used, is too old, or never was."""
        with self._lock:
            user, scopes, expires_at = self._links.pop(_digest(link), ("", (), 0))
        return self._open_session(user, scopes) if expires_at > self._clock() else None

    # sessions

    def session(self, cookie: str) -> Identity | None:
        """Who holds this session's cookie."""
        found = self._ledger.sessions.get(_digest(cookie))
        if found is None or _is_over(found.expires_at, self._clock()):
            return None
        return Identity(found.user, "session", found.scopes)

    def end_session(self, cookie: str) -> None:
        with self._lock:
            if (digest := _digest(cookie)) in self._ledger.sessions:
                self._keep(sessions={d: s for d, s in self._ledger.sessions.items() if d != digest})

    def _open_session(self, user: str, scopes: tuple[str, ...]) -> str:
        cookie = secrets.token_urlsafe(32)
        with self._lock:
            now = self._clock()
            alive = {d: s for d, s in self._ledger.sessions.items() if not _is_over(s.expires_at, now)}
            while len(alive) >= MOST_SESSIONS:
                alive.pop(min(alive, key=lambda digest: alive[digest].created_at))
            digest = _digest(cookie)
            self._keep(sessions={**alive, digest: Session(digest, user, scopes, now, now + SESSION_LIFETIME)})
        return cookie

    def _sessions_without(self, user: str) -> dict[str, Session]:
        return {digest: session for digest, session in self._ledger.sessions.items() if session.user != user}

    def _hash(self, password: str) -> str:
        if len(password) < SHORTEST_PASSWORD:
            message = f"must have at least {SHORTEST_PASSWORD} characters"
            raise Invalid(
                [Fault("body", 0, 0, "password", message, "a few words are easy to remember and hard to guess")]
            )
        with self._hashing:
            return self._hasher.hash(password)

    def _keep(
        self,
        *,
        tokens: dict[str, Token] | None = None,
        users: dict[str, User] | None = None,
        sessions: dict[str, Session] | None = None,
    ) -> None:
        """Write the change, then make it: what the disk refused has not happened. The lock is held."""
        now = self._ledger
        changed = Ledger(
            tokens=now.tokens if tokens is None else tokens,
            users=now.users if users is None else users,
            sessions=now.sessions if sessions is None else sessions,
        )
        try:
            accounts_file.save(self._path, changed)
        except OSError as error:
            raise Unavailable(f"the accounts could not be saved: {error}", delay=10.0) from error
        self._ledger = changed


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _find(tokens: Iterable[Token], presented: str) -> Token | None:
    digest = _digest(presented)
    return next((token for token in tokens if hmac.compare_digest(token.digest, digest)), None)


def _is_over(expires_at: int, now: int) -> bool:
    return 0 < expires_at <= now


def _without(entries: dict[str, Any], name: str, noun: str) -> dict[str, Any]:
    if name not in entries:
        raise NotFound(f"there is no {noun} {name!r}")
    return {key: entry for key, entry in entries.items() if key != name}


def _check(name: str, scopes: tuple[str, ...]) -> None:
    faults = []
    if not 1 <= len(name) <= 63 or not name.isprintable() or name != name.strip() or "/" in name:
        faults.append(Fault("body", 0, 0, "name", "must be 1 to 63 printable characters without /"))
    if not scopes:
        faults.append(
            Fault("body", 0, 0, "scopes", "is empty", "one or more of ingest, ingest:DEVICE, read, operate, admin")
        )
    faults += [
        Fault("body", 0, 0, "scopes", f"{scope!r} is no scope", "ingest, ingest:DEVICE, read, operate, admin")
        for scope in wrong_scopes(scopes)
    ]
    if faults:
        raise Invalid(faults)
