"""A server of SNTP (RFC 4330) on loopback, `ahead` ms of this machine's clock; while `lost` it says that it has none."""

from __future__ import annotations

import socket
import struct
import threading
import time
from types import TracebackType

FROM_1900 = 2_208_988_800


class Ntp:
    def __init__(self, ahead: int = 0, *, lost: bool = False) -> None:
        self.ahead = ahead
        self.lost = lost
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def now(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead

    def __enter__(self) -> Ntp:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            asked, who = self._socket.recvfrom(100)
            if not asked:
                return
            self._socket.sendto(self._answer(asked), who)

    def _answer(self, asked: bytes) -> bytes:
        seconds, ms = divmod(self.now(), 1000)
        stamp = struct.pack("!II", seconds + FROM_1900 & 0xFFFFFFFF, -(-(ms << 32) // 1000))
        return (b"\xe4\x10" if self.lost else b"\x24\x02") + bytes(22) + asked[40:48] + stamp + stamp
