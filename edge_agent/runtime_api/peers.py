"""Whose is the other end of a TCP connection on this machine? The kernel knows.

Asked by sock_diag(7) for the exact connection, or where that is not there, read from /proc/net/tcp (proc(5)).
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import NamedTuple

SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST = 1
NETLINK_SOCK_DIAG = 4
NLMSG_ERROR = 2
ANY_STATE = NO_COOKIE = 0xFFFFFFFF
UID_AT = 16 + 4 + 48 + 12
"""nlmsghdr; family to retrans; sockid; expires, rqueue, wqueue; then uid and inode."""
PROC = Path("/proc/net/tcp")
_REQUEST = struct.Struct("=IHHIIBBBBI2s2s16s16sIII")

Address = tuple[str, int]


class Owner(NamedTuple):
    """Of one end of a connection. `inode` names the socket: /proc/PID/fd has it as `socket:[inode]`."""

    uid: int
    inode: int


class Unknowable(Exception):
    """Neither way is open to us on this machine."""


class Peers:
    """Asks the kernel over one socket, kept open. For one thread."""

    def __init__(self) -> None:
        self._netlink: socket.socket | None = None
        self._knows_tcp = False

    def owner(self, client: Address, server: Address) -> Owner | None:
        """Who owns the `client` end of an IPv4 connection to `server`; None when it is closed by now. Errors: `Unknowable`."""
        found: Owner | None
        try:
            found = self._ask(client, server)
        except FileNotFoundError:  # no such connection; or nothing that knows of TCP (the module tcp_diag is not there)
            if self._knows_tcp:
                return None
            found = read_proc(client, server)
        except OSError:
            self.close()
            found = read_proc(client, server)
        return found if found is not None and found.inode else None  # a closed one is nobody's, which reads as root's

    def close(self) -> None:
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def _ask(self, client: Address, server: Address) -> Owner:
        """inet_diag_req_v2 and inet_diag_msg of linux/inet_diag.h, for one socket. Errors: `FileNotFoundError` when there is
        none, `OSError`."""
        if self._netlink is None:
            self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG)
            self._netlink.settimeout(1.0)
        self._netlink.send(_REQUEST.pack(
            _REQUEST.size, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0,
            socket.AF_INET, socket.IPPROTO_TCP, 0, 0, ANY_STATE,
            client[1].to_bytes(2, "big"), server[1].to_bytes(2, "big"),
            socket.inet_aton(client[0]), socket.inet_aton(server[0]),
            0, NO_COOKIE, NO_COOKIE,
        ))  # fmt: skip
        answer = self._netlink.recv(4096)
        kind = struct.unpack_from("=H", answer, 4)[0]
        if kind == NLMSG_ERROR:
            number = -struct.unpack_from("=i", answer, 16)[0]
            raise OSError(number, os.strerror(number))
        if kind != SOCK_DIAG_BY_FAMILY:
            raise OSError("sock_diag speaks another language")
        self._knows_tcp = True
        return Owner(*struct.unpack_from("=II", answer, UID_AT))


def read_proc(client: Address, server: Address) -> Owner | None:
    """The same from /proc/net/tcp; None when it is not there. Errors: `Unknowable`."""
    wanted = [_hex(client), _hex(server)]
    try:
        lines = PROC.read_text().splitlines()
    except OSError as error:
        raise Unknowable(f"neither sock_diag(7) nor {PROC} can be read ({error.strerror})") from error
    for line in lines[1:]:
        fields = line.split()
        if fields[1:3] == wanted:
            return Owner(int(fields[7]), int(fields[9]))
    return None


def _hex(address: Address) -> str:
    return f"{int.from_bytes(socket.inet_aton(address[0]), 'little'):08X}:{address[1]:04X}"
