"""Who asks? Each worker is told a host name with a random token; it arrives as the Host header and counts from one address.

Unmodified clients send no credential, but all send Host. Enters: a peer's address and its request. Leaves: a worker's id.
Guarantee: a token is good from the address of its worker's pod alone, and no longer than the worker. A pod often asks
before its status has told its address: then the first address to use the token has it, unless that is another worker's;
if the status then names another one, the worker is ended, for somebody else had its name.
Belongs to the loop's thread.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from collections import Counter

from edge_agent.adapters.cluster_kubernetes.pods.document import DOMAIN

log = logging.getLogger(__name__)

BYTES = 16
"""Of a token: 32 digits, one lower-case DNS label (RFC 1035, 2.3.4: at most 63)."""


class Pass:
    """A worker's right to ask."""

    __slots__ = ("known", "used", "worker_id")

    def __init__(self, worker_id: str) -> None:
        self.worker_id = worker_id
        self.known: tuple[str, ...] = ()
        """Addresses its pod's status says it has."""
        self.used = ""
        """The address that used it first, before that was known."""


class Names:
    """Tokens and whose they are."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        """Requests by why they were not let in."""
        self._passes: dict[str, Pass] = {}
        self._holders: dict[str, str] = {}
        """Address -> token."""

    def issue(self, worker_id: str) -> str:
        """A token for a pod that is to be made."""
        token = secrets.token_hex(BYTES)
        self._passes[token] = Pass(worker_id)
        return token

    def take_over(self, token: str, worker_id: str) -> None:
        """The token of a pod made in an earlier life is this worker's now."""
        self._passes[token] = Pass(worker_id)

    def settle(self, token: str, addresses: tuple[str, ...]) -> str:
        """The pod has these addresses; the address that used its token and is none of them, empty when all is well."""
        found = self._passes.get(token)
        if found is None or not addresses or addresses == found.known:
            return ""
        found.known = addresses
        for address in addresses:
            self._holders[address] = token
        return found.used if found.used and found.used not in addresses else ""

    def revoke(self, token: str) -> None:
        if found := self._passes.pop(token, None):
            for address in {*found.known, found.used} - {""}:
                if self._holders.get(address) == token:
                    del self._holders[address]

    def who(self, address: str, host: bytes) -> str | None:
        """The worker that may ask from `address` with this Host header; None: nobody."""
        name = host.partition(b":")[0]
        token, _, domain = name.decode("latin-1").lower().partition(".")
        found = self._passes.get(token)
        if found is None or not hmac.compare_digest(domain, DOMAIN):
            self.refused["unknown"] += 1
            return None
        if found.known:
            fits = address in found.known
        else:
            fits = found.used == address or (not found.used and self._holders.get(address, token) == token)
            if fits:
                found.used = address
                self._holders[address] = token
        if not fits:
            if not self.refused["address"]:
                log.warning(
                    "%s asks with the name of %s, which belongs to %s; refused. If all are refused: pods' addresses do not "
                    "survive on their way to [kubernetes] runtime_address, choose one inside the pod network",
                    address, found.worker_id, ", ".join(found.known) or found.used or "another address",
                )  # fmt: skip
            self.refused["address"] += 1
            return None
        return found.worker_id
