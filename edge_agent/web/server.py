"""The production server: the application on a TCP port and on a unix socket, until it is told to stop.

In: a WSGI application, where to listen. Out: answered requests. Guarantee: event streams and slow clients starve nobody
(`doorway`), `stop` takes about two seconds at most, whoever is connected.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_agent.web.doorway import Doorway, Places
from edge_agent.web.listening import listen_tcp, listen_unix, tls_context

log = logging.getLogger(__name__)


class Server:
    """Serves `app` on `host`:`port` and, when given, on `socket_path`.

    With `certificate` and `key` (PEM files) the port speaks HTTPS. `before_stop` is called first when stopping: it must make
    event streams end.
    """

    def __init__(
        self,
        app: Any,
        host: str = "127.0.0.1",
        port: int = 8080,
        socket_path: Path | None = None,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
        places: Places | None = None,
        before_stop: Callable[[], None] | None = None,
    ) -> None:
        self._app, self._host, self._port, self._socket_path = app, host, port, socket_path
        self._tls_files = (certificate, key) if certificate and key else None
        streams = getattr(app, "extensions", {}).get("edge.streams")
        self._places = places or Places(streams=streams.limit if streams else Places().streams)
        self._before_stop = before_stop or (streams.close if streams else None)
        self._doors: list[Doorway] = []
        self._threads: list[threading.Thread] = []

    def start(self) -> int:
        """Begin to serve; the port that was bound. Errors: OSError (taken port, unreadable certificate)."""
        tls = tls_context(*self._tls_files) if self._tls_files else None
        listener = listen_tcp(self._host, self._port)
        try:
            # The command line is alone on the socket: a few places do.
            few = Places(pages=4, streams=self._places.streams, probes=1, connections=64)
            local = listen_unix(self._socket_path) if self._socket_path else None
        except OSError:
            listener.close()
            raise
        self._open(Doorway(self._app, listener, tls, self._places))
        if local is not None:
            self._open(Doorway(self._app, local, None, few))
        port: int = listener.getsockname()[1]
        return port

    def stop(self, patience: float = 2.0) -> None:
        """End every stream and connection; requests get `patience` seconds to finish."""
        if self._before_stop is not None:
            self._before_stop()
        stopping = [threading.Thread(target=door.stop, args=(patience,)) for door in self._doors]
        for thread in stopping:
            thread.start()
        for thread in [*stopping, *self._threads]:
            thread.join(patience + 5.0)
        if self._socket_path and any(door.unix for door in self._doors):
            self._socket_path.unlink(missing_ok=True)
        self._doors, self._threads = [], []

    def _open(self, door: Doorway) -> None:
        self._doors.append(door)
        thread = threading.Thread(target=door.run, name=f"web-{'socket' if door.unix else 'port'}", daemon=True)
        self._threads.append(thread)
        thread.start()
