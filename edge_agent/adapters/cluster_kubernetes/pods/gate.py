"""Where pods ask: the Runtime API's door for many, opened when it is known who may come.

Enters: requests of pods. Leaves: the ids of their workers, for `runtime_api`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from edge_agent.adapters.cluster_kubernetes.pods.names import Names
from edge_agent.adapters.cluster_kubernetes.pods.orphans import Orphans
from edge_agent.errors import Unavailable

Address = tuple[str, int]
RENEWED = b"/2018-06-01/edge/renewed"


class Request(Protocol):
    """Of `runtime_api.http`: as much as is looked at."""

    @property
    def path(self) -> bytes: ...
    @property
    def headers(self) -> Mapping[bytes, bytes]: ...


class Heard(Protocol):
    def __call__(self, worker_id: str, /, *, fresh: bool) -> None: ...


class Server(Protocol):
    """`runtime_api.server.RuntimeServer`."""

    def listen(
        self, address: Address, identify: Callable[[Address, Any], str | None], given: Callable[[str], None], /
    ) -> Address: ...

    def dismiss(self, worker_id: str, /) -> None: ...


class Gate:
    """Belongs to the loop's thread. Set `heard` and `given` before `open`."""

    heard: Heard
    """Told whose request was let in; `fresh`: it says that its process is a new one."""
    given: Callable[[str], None]
    """Told to whom an event is about to be sent."""

    def __init__(self, server: Server, address: Address) -> None:
        """`address`: of this machine, in the pod network; it may come into being later."""
        self.names = Names()
        self.address = address
        self.is_open = False
        self._server = server

    def open(self, orphans: Orphans) -> None:
        """Listen: what pods there are is known. Once is enough. Errors: `Unavailable`."""
        if not self.is_open:
            self._orphans = orphans
            self._server.listen(self.address, self._identify, self._given)
            self.is_open = True

    def dismiss(self, worker_id: str) -> None:
        """It is gone: its connections too."""
        self._server.dismiss(worker_id)

    def _given(self, worker_id: str) -> None:
        self.given(worker_id)

    def _identify(self, peer: Address, request: Request) -> str | None:
        host = request.headers.get(b"host", b"")
        if self._orphans.has_token(host.partition(b".")[0].decode("latin-1").lower()):
            raise Unavailable("whose worker this is to be is not decided yet: ask again")
        worker_id = self.names.who(peer[0], host)
        if worker_id is not None:
            self.heard(worker_id, fresh=request.path == RENEWED)
        return worker_id
