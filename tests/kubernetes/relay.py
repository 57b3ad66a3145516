"""A way to an API server that can be cut while everybody else's stays: what an agent has between itself and its cluster.

Enters: a kubeconfig (JSON, as `tests.cluster` writes it). Leaves: another one, through the relay.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit


class Relay:
    """TCP, byte for byte. `taken` counts the connections so far."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        document = json.loads(kubeconfig.read_text())
        server = urlsplit(document["clusters"][0]["cluster"]["server"])
        assert server.hostname
        self._target = (server.hostname, server.port or 443)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self._lock = threading.Lock()
        self._cut = False
        self.taken = 0
        port = self._listener.getsockname()[1]
        document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
        self.kubeconfig = folder / f"relay-{port}.kubeconfig"
        self.kubeconfig.write_text(json.dumps(document))
        threading.Thread(target=self._take, name="relay", daemon=True).start()

    def cut(self) -> None:
        """End every connection, and each new one at once."""
        with self._lock:
            self._cut = True
            for end in self._ends:
                shut(end)
            self._ends.clear()

    def mend(self) -> None:
        with self._lock:
            self._cut = False

    def _take(self) -> None:
        while True:
            client, _ = self._listener.accept()
            with self._lock, contextlib.suppress(OSError):
                if not self._cut:
                    server = socket.create_connection(self._target, timeout=10)
                    server.settimeout(None)
                    self.taken += 1
                    self._ends += [client, server]
                    for ends in ((client, server), (server, client)):
                        threading.Thread(target=pump, args=ends, name="relay", daemon=True).start()
                    continue
            client.close()


def pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    shut(source)
    shut(sink)


def shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side was quicker
        end.shutdown(socket.SHUT_RDWR)
