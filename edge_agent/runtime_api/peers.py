"""Which user is at the other end of a TCP connection on this machine? The kernel knows.

Asked by sock_diag(7) for the exact connection, or where that is not there, read from /proc/net/tcp (proc(5)).
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path

SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST = 1
NETLINK_SOCK_DIAG = 4
ANY_STATE = NO_COOKIE = 0xFFFFFFFF
UID_AT = 16 + 4 + 48 + 12
"""nlmsghdr; family to retrans; sockid; expires, rqueue, wqueue."""
_REQUEST = struct.Struct("=IHHIIBBBBI2s2s16s16sIII")

Address = tuple[str, int]


class Peers:
    """Asks the kernel over one socket, kept open. For one thread."""

    def __init__(self) -> None:
        self._netlink: socket.socket | None = None

    def uid_of(self, client: Address, server: Address) -> int | None:
        """The uid that owns the `client` end of an IPv4 connection to `server`; None when the kernel does not say."""
        try:
            return self._ask(client, server)
        except OSError:
            self.close()
            return read_proc(client, server)

    def close(self) -> None:
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def _ask(self, client: Address, server: Address) -> int:
        """inet_diag_req_v2 and inet_diag_msg of linux/inet_diag.h, for one socket."""
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
        if struct.unpack_from("=H", answer, 4)[0] != SOCK_DIAG_BY_FAMILY:
            raise OSError("sock_diag does not know this connection")
        return int(struct.unpack_from("=I", answer, UID_AT)[0])


def read_proc(client: Address, server: Address) -> int | None:
    """The same from /proc/net/tcp."""
    wanted = [_hex(client), _hex(server)]
    try:
        lines = Path("/proc/net/tcp").read_text().splitlines()
    except OSError:
        return None
    for line in lines[1:]:
        fields = line.split()
        if fields[1:3] == wanted:
            return int(fields[7])
    return None


def _hex(address: Address) -> str:
    return f"{int.from_bytes(socket.inet_aton(address[0]), 'little'):08X}:{address[1]:04X}"
