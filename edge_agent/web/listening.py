"""Sockets to listen on: TCP with or without TLS, and a unix socket only its owner may open.

In: an address or a path. Out: a bound, listening socket. Errors: OSError (a taken port is EADDRINUSE).
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import stat
from pathlib import Path

BACKLOG = 128
LONGEST_PATH = 107
"""Bytes of a unix socket's path (unix(7): sun_path holds 108 with its ending zero)."""


def listen_tcp(host: str, port: int) -> socket.socket:
    """Listen on `host` (name or address) and `port`; 0 takes any free one."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Inherited by every accepted connection: head and body leave as two writes.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6 and host == "::":
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def listen_unix(path: Path) -> socket.socket:
    """Listen on `path`, made 0600. A socket left there by a dead process is replaced; one that answers is not."""
    if path.exists() or path.is_symlink():
        _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Before bind, so that there is no instant at which others could open it (Linux takes the mode from here).
        os.fchmod(listener.fileno(), 0o600)
        with _Address(path) as address:
            listener.bind(address)
        path.chmod(0o600)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def connect_unix(path: Path, timeout: float = 10.0) -> socket.socket:
    """A connection to the socket at `path`, however long the path is."""
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        caller.settimeout(timeout)
        with _Address(path) as address:
            caller.connect(address)
    except OSError:
        caller.close()
        raise
    return caller


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 and later with the standard library's choice of ciphers. Errors: OSError, ssl.SSLError (an OSError)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


def own_names() -> set[str]:
    """What this machine calls itself, for the Host allow-list."""
    name = socket.gethostname().lower()
    return {name, name.partition(".")[0], f"{name.partition('.')[0]}.local"}


def _remove_stale(path: Path) -> None:
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise FileExistsError(errno.EEXIST, "there is a file where the socket should be; move it away", str(path))
    try:
        connect_unix(path, timeout=1.0).close()
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
    else:
        raise OSError(errno.EADDRINUSE, "another agent answers on this socket; stop it first", str(path))


class _Address:
    """A path short enough for a unix socket: a long one is reached through its open folder (proc(5))."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = -1

    def __enter__(self) -> str:
        if len(os.fsencode(self._path)) <= LONGEST_PATH:
            return str(self._path)
        self._folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._folder}/{self._path.name}"

    def __exit__(self, *_: object) -> None:
        if self._folder >= 0:
            os.close(self._folder)
