"""MQTT packets as bytes: taking PUBLISH packets out of a whole read at once, and answering them with one write.

Pure. Sections are those of MQTT 5.0; 3.1.1 differs only by having no properties.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence


class Malformed(Exception):
    """The stream is no MQTT (1.5.5, 3.3.2); the connection must be closed (4.13.1)."""


Publish = tuple[bytes, bytes, bytes, bool]
"""(packet identifier, b"" at QoS 0; Topic Name, b"" of one more copy; payload; RETAIN)"""


Repeats = Callable[[bytes, bytes, bytes], bool]
"""(Topic Name, payload, properties) -> whether it is one more copy of a message (`sieve`)."""


def split(data: bytes, v5: bool, published: list[Publish], rest: list[bytes], repeats: Repeats | None = None) -> int:
    """Take apart the whole packets at the start of `data`; returns how many bytes they were.

    QoS 0 and QoS 1 PUBLISH packets go to `published`, all other packets as they are to `rest`. What `repeats` is there
    without Topic Name, to be acknowledged in its turn and no more.
    """
    at, size = 0, len(data)
    add = published.append
    while size - at >= 2:
        length, body = data[at + 1], at + 2
        if length > 127:
            length, body = _long_integer(data, at + 1, size)
            if not body:
                return at
        end = body + length
        if end > size:
            return at
        first = data[at]
        if first & 0xF0 == 0x30 and first & 0x04 == 0:  # PUBLISH at QoS 0 or 1 (3.3.1.2)
            topic_at = body + 2
            topic_end = topic_at + ((data[body] << 8) | data[body + 1])
            payload_at = topic_end + (2 if first & 0x02 else 0)
            if v5:
                if payload_at >= end:
                    raise Malformed("PUBLISH without properties")
                properties = data[payload_at]
                payload_at += 1
                if properties:
                    if properties > 127:
                        properties, payload_at = _long_integer(data, payload_at - 1, end)
                    payload_at += properties
                    if repeats and payload_at <= end:
                        said = data[payload_at - properties : payload_at]
                        if repeats(data[body + 2 : topic_end], data[payload_at:end], said):
                            add((data[topic_end : topic_end + 2] if first & 0x02 else b"", b"", b"", False))
                            at = end
                            continue
            if payload_at > end:
                raise Malformed("PUBLISH longer than its packet")
            mid = data[topic_end : topic_end + 2] if first & 0x02 else b""
            add((mid, data[body + 2 : topic_end], data[payload_at:end], first & 1 == 1))
        else:
            rest.append(data[at:end])
        at = end
    return at


def _long_integer(data: bytes, at: int, size: int) -> tuple[int, int]:
    """A Variable Byte Integer of several bytes (1.5.5): (value, where it ends), or (0, 0) when it is not all there."""
    value = shift = 0
    while at < size:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 21:
            raise Malformed("Variable Byte Integer of more than four bytes")
    return 0, 0


def pubacks(mids: Sequence[bytes]) -> bytes:
    """PUBACK packets with Reason Code 0x00, which may be left out (3.4.2.1)."""
    return b"\x40\x02" + b"\x40\x02".join(mids) if mids else b""


def publish_qos0(messages: Iterable[tuple[str, bytes]], v5: bool) -> bytes:
    """PUBLISH packets at QoS 0, without properties, one after the other."""
    properties = b"\x00" if v5 else b""
    packets = []
    for topic, payload in messages:
        name = topic.encode()
        body = len(name).to_bytes(2, "big") + name + properties + payload
        packets.append(b"\x30" + _encode_length(len(body)) + body)
    return b"".join(packets)


def _encode_length(value: int) -> bytes:
    out = bytearray()
    while True:
        value, byte = divmod(value, 128)
        out.append(byte | (128 if value else 0))
        if not value:
            return bytes(out)
