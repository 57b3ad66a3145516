"""Who may come in: the host name asked for, how often, who it is, and whether a browser was tricked into asking.

In: every request, before its route. Out: `g.identity`, or a problem (401, 403, 421, 429).
Order: host, then identity, then rate, then scope; a body is never read before all four.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from flask import g, request

from edge_agent.web.accounts import Accounts
from edge_agent.web.buckets import Buckets, Rate
from edge_agent.web.identity import Identity
from edge_agent.web.operation import operation_of
from edge_agent.web.problems import Problem

COOKIE = "edge_session"
SECURE_COOKIE = "__Host-edge_session"
REQUESTED_BY = "X-Edge-Request"
"""A header no other site's page can send without asking first (CORS preflight), which is never allowed."""
SAFE = ("GET", "HEAD", "OPTIONS")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Limits:
    """Per client: a token, a session, or an address that is neither."""

    known: Rate = field(default_factory=lambda: Rate(100.0, 400.0))
    """Who has signed in: a gateway that forwards a house full of boards, or a page drawing fifty plots."""
    unknown: Rate = field(default_factory=lambda: Rate(5.0, 60.0))
    """Who has not: enough to load the sign-in page, a nuisance to whoever guesses."""
    failures: Rate = field(default_factory=lambda: Rate(1 / 12, 5.0))
    """Wrong passwords and links: five at once, then one in twelve seconds."""
    all_failures: Rate = field(default_factory=lambda: Rate(1.0, 60.0))
    """The same, of all clients together: many addresses are cheap to have."""


class Guard:
    """`names` may be asked for beside loopback and the connection's own address; `clock` gives seconds, monotonic."""

    def __init__(self, accounts: Accounts, names: Iterable[str], limits: Limits, clock: Callable[[], float]) -> None:
        self._accounts = accounts
        self._names = {name.lower().strip("[]") for name in (*LOOPBACK, *names)}
        self._known = Buckets(limits.known, clock)
        self._unknown = Buckets(limits.unknown, clock)
        self._failures = Buckets(limits.failures, clock)
        self._all_failures = Buckets(limits.all_failures, clock)

    def admit(self) -> None:
        """Before every request."""
        operation = operation_of(request.endpoint)
        if operation is not None and operation.always:
            return
        local = _is_local()
        if not local:
            self._check_host()
        g.identity = identity = self.identify()
        if not local:
            wait = self._known.take(f"{identity.kind}:{identity.name}") if identity else self._unknown.take(client())
            if wait:
                raise Problem(429, "too many requests; slow down", retry_after=wait)
        if operation is None:  # no such route: told only to those who may know
            if identity is None and not (request.endpoint or "").startswith("page."):
                raise Problem(401, "sign in, or send a token: Authorization: Bearer ...")
            return
        if operation.scope:
            self._check_scope(identity, operation.scope)

    def identify(self) -> Identity | None:
        """Who is asking. A token that is wrong or over is refused rather than ignored."""
        if _is_local():
            return Identity("root" if request.environ["X_REMOTE_UID"] == "0" else "agent", "socket", ("admin",))
        if header := request.headers.get("Authorization"):
            kind, _, presented = header.partition(" ")
            identity = self._accounts.token(presented.strip()) if kind.lower() == "bearer" else None
            if identity is None:
                self._limit_unknown()
                raise Problem(401, "this token is wrong, was removed, or is too old")
            return identity
        cookie = request.cookies.get(cookie_name())
        identity = self._accounts.session(cookie) if cookie else None
        if identity and request.method not in SAFE:
            check_origin()
        return identity

    def welcome(self) -> Callable[[], bool]:
        """Ask again later, outside the request, whether whoever is asking now may still read."""
        if _is_local():
            return lambda: True
        kind, _, presented = request.headers.get("Authorization", "").partition(" ")
        look: Callable[[str], Identity | None]
        if kind:
            look = self._accounts.token
        else:
            presented, look = request.cookies.get(cookie_name(), ""), self._accounts.session

        def still() -> bool:
            identity = look(presented.strip())
            return identity is not None and identity.may("read")

        return still

    def check_failures(self) -> None:
        """Before an attempt to sign in: 429 while there have been too many wrong ones."""
        wait = max(self._failures.wait(client()), self._all_failures.wait(""))
        if wait:
            raise Problem(429, "too many wrong attempts; wait, then try again", retry_after=wait)

    def count_failure(self) -> None:
        self._failures.take(client())
        self._all_failures.take("")

    def _limit_unknown(self) -> None:
        if wait := self._unknown.take(client()):
            raise Problem(429, "too many requests; slow down", retry_after=wait)

    def _check_scope(self, identity: Identity | None, scope: str) -> None:
        device = str((request.view_args or {}).get("device", ""))
        if identity is None:
            raise Problem(401, "sign in, or send a token: Authorization: Bearer ...")
        if not identity.may(scope, device):
            wanted = f"ingest or ingest:{device}" if scope == "ingest" else scope
            raise Problem(403, f"this needs the scope {wanted}; {identity.name} has {', '.join(identity.scopes)}")

    def _check_host(self) -> None:
        found = _HOST.fullmatch(request.headers.get("Host", ""))
        host = found[1].lower().strip("[]").rstrip(".") if found else ""
        if host in self._names or _same_address(host, request.environ.get("edge.local_address", "")):
            return
        raise Problem(421, "this appliance does not answer to that name; add it to allowed_hosts in the section [web]")


def cookie_name() -> str:
    """Browsers keep a __Host- cookie to HTTPS and to this very host."""
    return SECURE_COOKIE if request.is_secure else COOKIE


def check_origin() -> None:
    """A request that changes something and is carried by a cookie must come from our own page."""
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    own = urlsplit(request.host_url)
    if (
        site not in ("same-origin", "none")
        or (origin is not None and urlsplit(origin)[:2] != own[:2])
        or REQUESTED_BY not in request.headers
    ):
        raise Problem(403, f"another site asked for this, or the header {REQUESTED_BY} is missing")


def client() -> str:
    """The address a limit is kept for: a whole /64 of IPv6, which is what one household gets."""
    address = request.remote_addr or ""
    if ":" in address:
        try:
            return str(ipaddress.ip_network(f"{address.partition('%')[0]}/64", strict=False))
        except ValueError:
            return address
    return address


def _is_local() -> bool:
    """Whether the request came by the unix socket, from root or from the agent's own user. Headers cannot forge this: they
    arrive as HTTP_..."""
    uid = request.environ.get("X_REMOTE_UID")
    return uid is not None and uid in ("0", str(os.getuid()))


def _same_address(host: str, local: str) -> bool:
    try:
        asked, own = ipaddress.ip_address(host), ipaddress.ip_address(local.partition("%")[0])
    except ValueError:
        return False
    return asked in (own, getattr(own, "ipv4_mapped", None))
