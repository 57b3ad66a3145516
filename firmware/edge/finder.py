"""Where the broker is: by its mDNS name, asked here because not every port resolves `.local` itself.

Enters: a name or an address. Leaves: an address, or the name itself for the resolver of the port. RFC 6762: one question
with the unicast-response bit from an ephemeral port (5.1, 6.7), answered by whoever has the name.
"""

import socket
import struct
import time

GROUP, PORT = "224.0.0.251", 5353


def find(name, timeout=1500, group=GROUP, port=PORT):
    """The IPv4 address of `name` where it ends in .local and somebody answers, else `name` as it is."""
    if not name.endswith(".local"):
        return name
    question = b"".join(bytes((len(part),)) + part.encode() for part in name.split(".")) + b"\0"
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.settimeout(timeout / 1000)
        query = struct.pack("!6H", 0, 0, 1, 0, 0, 0) + question + struct.pack("!HH", 1, 0x8001)
        end = time.ticks_add(time.ticks_ms(), timeout)
        sock.sendto(query, socket.getaddrinfo(group, port)[0][-1])
        while time.ticks_diff(end, time.ticks_ms()) > 0:
            address = answer(sock.recv(512), name)
            if address:
                return address
    except (OSError, IndexError, ValueError):
        pass
    finally:
        sock.close()
    return name


def answer(packet, name):
    """The address an answer gives for `name`, None where it is about something else."""
    _, flags, questions, answers, _, _ = struct.unpack("!6H", packet[:12])
    if not flags & 0x8000:
        return None
    at = 12
    for _ in range(questions):
        at = _name(packet, at)[1] + 4
    for _ in range(answers):
        whose, at = _name(packet, at)
        kind, _, _, size = struct.unpack("!HHIH", packet[at : at + 10])
        at += 10
        if kind == 1 and size == 4 and whose.lower() == name.lower():
            return ".".join(str(b) for b in packet[at : at + 4])
        at += size
    return None


def _name(packet, at):
    """(name, where it ends); a pointer (RFC 1035, 4.1.4) is followed at most ten times."""
    parts, end, hops = [], None, 0
    while packet[at]:
        n = packet[at]
        if n & 0xC0:
            end = end or at + 2
            at = (n & 0x3F) << 8 | packet[at + 1]
            hops += 1
            if hops > 10:
                raise ValueError
            continue
        parts.append(packet[at + 1 : at + 1 + n].decode())
        at += n + 1
    return ".".join(parts), end or at + 1
