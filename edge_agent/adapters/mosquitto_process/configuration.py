"""Mosquitto's configuration file, and where program and port are found."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
from collections.abc import Collection
from pathlib import Path

from edge_agent.errors import Unavailable

MAX_QUEUED_BYTES = 128 * 1024 * 1024
"""Of messages waiting for the agent while it is away: hundreds of thousands of readings, and a bound on the Pi's
memory."""
PID_FILE = "mosquitto.pid"
MESSAGE_LIMIT = 256 * 1024
"""Four times what a board may send: the agent sees and records what is too long, the broker stops what is absurd."""


def text(folder: Path, listener: str, queued_bytes: int, *, lan: bool) -> str:
    """The whole mosquitto.conf (2.0 and 2.1). `listener` is "port address"."""
    lines = [
        f"listener {listener}",
        "socket_domain ipv4",
        "set_tcp_nodelay true",
        "persistence true",
        f"persistence_location {folder}/",
        "persistence_file mosquitto.db",
        f"pid_file {folder}/{PID_FILE}",  # whoever adds a user has to tell it so
        "autosave_interval 300",
        "persistent_client_expiration 14d",
        # 0 would mean "no limit", of bytes neither (2.0, db__ready_for_queue): so a number nobody reaches.
        "max_queued_messages 10000000",
        f"max_queued_bytes {queued_bytes}",
        "max_inflight_messages 1000",
        f"message_size_limit {MESSAGE_LIMIT}",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "log_type information",
        "connection_messages false",
    ]
    if os.geteuid() == 0:
        lines.append(f"user {getpass.getuser()}")  # or it would drop to a user who may not enter our folder
    if lan:
        lines += ["allow_anonymous false", f"password_file {folder}/passwd", f"acl_file {folder}/acl"]
    else:
        lines.append("allow_anonymous true")
    return "\n".join(lines) + "\n"


def free_port(first: int, host: str, *, but: Collection[int] = ()) -> int:
    """`first` or the next port nobody listens on and that is not in `but`; 0 is any. Raises `Unavailable` after a hundred."""
    for port in (p for p in (range(first, min(first + 100, 65536)) if first else (0,)) if p not in but):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((host, port))
                chosen: int = probe.getsockname()[1]
                return chosen
    raise Unavailable(f"no free port from {first} to {first + 99}; choose another")


def program() -> str | None:
    """Where Mosquitto is: Debian puts it in /usr/sbin, which is not on everybody's PATH."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def write_private(file: Path, text: str) -> None:
    """Write a file only we can read, from its first byte on."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        os.fchmod(opened.fileno(), 0o600)
        opened.write(text)
