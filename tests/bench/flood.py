"""A publisher that is never the bottleneck: QoS 1 packets made beforehand, sent with a window of unacknowledged ones.

    python -m tests.bench.flood --port 1883 --messages 100000 [--rate 1000]

Prints READY, waits for a line on standard input, and prints JSON when the broker has acknowledged everything; it leaves at
once when standard input ends instead. It speaks MQTT 3.1.1 on a bare socket, so that on two shared cores nearly all time goes
to what is measured. With a rate, packets are made as they are sent, so that each carries the time it was.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator

CHUNK = 250
"""Packets for one send."""
SIZE = 75
"""Bytes of a payload: what the figures say. The number of decimals makes up for the growing `seq`."""


def length(value: int) -> bytes:
    """A Variable Byte Integer (MQTT 5, 1.5.5)."""
    out = bytearray()
    while True:
        value, byte = divmod(value, 128)
        out.append(byte | (128 if value else 0))
        if not value:
            return bytes(out)


def payload(boot: str, seq: int, number: int, t: int) -> bytes:
    """75 bytes of our own format (one reading; `boot` has eight letters, `seq` up to five digits), some bytes more beyond."""
    level = 18 + (number * 7 % 1300) / 100
    decimals = max(1, SIZE - 69 - len(str(seq)))
    return b'{"boot":"%s","seq":%d,"t":%d,"readings":{"level":%s}}' % (
        boot.encode(), seq, t, f"{level:.{decimals}f}".encode(),
    )  # fmt: skip


def packet(arguments: argparse.Namespace, number: int, t: int) -> bytes:
    device = f"{arguments.prefix}-{number % arguments.devices}"
    body = payload(arguments.boot, number // arguments.devices + 1, number, t)
    if arguments.marker and number == arguments.messages - 1:
        device = "marker"
        body = b'{"boot":"%s","seq":1,"t":%d,"readings":{"level":99999}}' % (arguments.boot.encode(), t)
    topic = f"edge/v1/{arguments.site}/devices/{device}/readings".encode()
    variable = struct.pack("!H", len(topic)) + topic + struct.pack("!H", number % 65535 + 1) + body
    return b"\x32" + length(len(variable)) + variable


def chunks(arguments: argparse.Namespace) -> Iterator[tuple[int, bytes]]:
    """(packets, bytes) for each send. A board's readings are at least a millisecond apart, up to now."""
    rounds = 0 if arguments.rate else arguments.messages // arguments.devices
    for start in range(0, arguments.messages, arguments.chunk):
        end = min(start + arguments.chunk, arguments.messages)
        now = int(time.time() * 1000) - rounds
        moments = (now + (number // arguments.devices if rounds else 0) for number in range(start, end))
        yield (
            end - start,
            b"".join(packet(arguments, number, t) for number, t in zip(range(start, end), moments, strict=True)),
        )


class Window:
    """Counts the broker's PUBACKs, four bytes each."""

    def __init__(self, sock: socket.socket, size: int) -> None:
        self._sock, self._size = sock, size
        self._bytes = 0
        self._more = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while data := self._sock.recv(1 << 16):
            with self._more:
                self._bytes += len(data)
                self._more.notify()
            time.sleep(0.001)
        os._exit(1)

    def wait(self, sent: int, most: int = -1) -> None:
        """Until at most `most` (the window's size) of `sent` packets are not acknowledged."""
        allowed = self._size if most < 0 else most
        with self._more:
            self._more.wait_for(lambda: sent * 4 - self._bytes <= allowed * 4)


def arguments_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--devices", type=int, default=20)
    parser.add_argument("--rate", type=float, default=0.0, help="messages a second; 0 is as fast as it goes")
    parser.add_argument("--window", type=int, default=5000)
    parser.add_argument("--chunk", type=int, default=CHUNK)
    parser.add_argument("--site", default="bench")
    parser.add_argument("--prefix", default="tank")
    parser.add_argument("--boot", default="a1b2c3d4")
    parser.add_argument(
        "--marker", action="store_true", help="the last message is a level of 99999 from the device marker"
    )
    return parser.parse_args()


def connect(arguments: argparse.Namespace) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", arguments.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    name = f"flood-{arguments.boot}-{arguments.prefix}".encode()
    variable = b"\x00\x04MQTT\x04\x02\x00\x00" + struct.pack("!H", len(name)) + name
    sock.sendall(b"\x10" + length(len(variable)) + variable)
    sock.recv(4)
    return sock


def main() -> None:
    arguments = arguments_of()
    pieces = chunks(arguments) if arguments.rate else list(chunks(arguments))
    sock = connect(arguments)
    window = Window(sock, arguments.window)
    print("READY", flush=True)
    if not sys.stdin.readline():
        return
    threading.Thread(target=lambda: sys.stdin.read() or os._exit(1), daemon=True).start()
    begun, sent = time.time(), 0
    for count, chunk in pieces:
        window.wait(sent)
        if arguments.rate:
            time.sleep(max(0.0, begun + sent / arguments.rate - time.time()))
        sock.sendall(chunk)
        sent += count
    window.wait(sent, 0)
    print(json.dumps({"begun": begun, "ended": time.time(), "messages": arguments.messages}), flush=True)
    sock.sendall(b"\xe0\x00")
    os._exit(0)


if __name__ == "__main__":
    main()
