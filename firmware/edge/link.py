"""A QoS 1 client of MQTT 3.1.1 in little memory.

Enters: publications, filters, time. Leaves: packets, each in one write (many small writes meet Nagle's algorithm: 40 ms
each); messages, to `heard(topic, payload)`. Guarantee: at most `window` publications wait for their PUBACK; one that waits
for `PATIENCE` ms goes out once more with DUP (4.4; a broker that lost a PUBACK), after as long again the connection is
given up. So does a silence of one and a half keepalives. After `open` nothing of an earlier connection is left: what
nobody but the broker acknowledged the outbox sends again by itself. Not chosen: umqtt, which stops for ever at the
65,536th publication.
"""

import select
import socket
import struct
import time

PATIENCE = 10_000
MOST = 2048  # bytes of a packet that is taken in; what is longer is read over


class Lost(OSError):
    """There is no connection any more; its text says why."""


def text(s):
    b = s.encode() if isinstance(s, str) else s
    return struct.pack("!H", len(b)) + b


class Link:
    """One client. `will` is (topic, payload), published retained when the connection breaks; times in ms, `keep` in s."""

    def __init__(self, name, user=None, password=None, will=None, keep=30):
        self.name = name
        self.user = user
        self.password = password
        self.will = will
        self.keep = keep
        self.window = 8
        self.heard = None
        self.tls = None  # what `secure` makes, and the name that the broker's certificate has to be for
        self.flight = {}
        self.pid = 0
        self.sock = None
        self.session = ""

    def up(self):
        return self.sock is not None

    def room(self):
        """How many publications may go out now."""
        return self.window - len(self.flight) if self.sock else 0

    def open(self, host, port, timeout=5000):
        """Connect; returns when the broker has said yes. Raises Lost or OSError."""
        self.close()
        self.flight = {}
        self.left = b""
        self.over = 0
        sock = socket.socket()
        try:
            sock.settimeout(timeout / 1000)
            sock.connect(socket.getaddrinfo(host, port)[0][-1])
            try:
                sock.setsockopt(6, 1, 1)  # TCP_NODELAY, where the port has it
            except (OSError, AttributeError):
                pass
            if self.tls:
                try:
                    sock = self.tls[0].wrap_socket(sock, server_hostname=self.tls[1])
                except ValueError as error:
                    raise Lost("the broker's certificate: " + str(error).strip())
            flags, body = 2, text(self.name)
            if self.will:
                flags |= 0x2C
                body += text(self.will[0]) + text(self.will[1])
            if self.user:
                flags |= 0xC0
                body += text(self.user) + text(self.password or "")
            self.sock = sock
            sock.setblocking(False)
            self.poller = select.poll()
            self.poller.register(sock, select.POLLIN)
            self.written = self.read_at = time.ticks_ms()
            self._send(0x10, b"\x00\x04MQTT\x04" + bytes((flags,)) + struct.pack("!H", self.keep), body)
            self.session = None
            end = time.ticks_add(time.ticks_ms(), timeout)
            while self.session is None:
                self.poll(max(0, time.ticks_diff(end, time.ticks_ms())))
                if self.session is None and time.ticks_diff(end, time.ticks_ms()) <= 0:
                    raise Lost("the broker does not answer")
        except OSError:
            self.sock = self.sock or sock
            self.close()
            raise

    def subscribe(self, *filters):
        body = struct.pack("!H", self._next())
        for each in filters:
            body += text(each) + b"\x01"
        self._send(0x82, body)

    def publish(self, topic, payload, retain=False):
        """Send bytes, or a list of bytes, with QoS 1; its packet id, or None when the window is full."""
        if self.room() <= 0:
            return None
        pid = self._next()
        parts = payload if isinstance(payload, list) else (payload,)
        packet = self._send(0x33 if retain else 0x32, text(topic), struct.pack("!H", pid), *parts)
        self.flight[pid] = [packet, time.ticks_ms()]
        return pid

    def poll(self, wait=0):
        """Take in what has come, for at most `wait` ms; keep the connection alive. Raises Lost."""
        if not self.sock:
            raise Lost("not connected")
        for _ in range(32):  # a flood does not keep the board from its sensors
            if not self.poller.poll(wait):
                break
            wait = 0
            got = self.sock.read(256)
            if got is None:
                break
            if not got:
                raise Lost("closed by the broker")
            self.read_at = time.ticks_ms()
            self._take(got)
        self._watch()

    def close(self, goodbye=False):
        sock = self.sock
        if sock is None:
            return
        try:
            if goodbye:
                self._send(0xE0)
        except OSError:
            pass
        self.sock = None
        try:
            sock.close()
        except OSError:
            pass

    # -- packets

    def _next(self):
        while True:
            self.pid = self.pid % 65535 + 1  # 0 is no packet id (2.3.1)
            if self.pid not in self.flight:
                return self.pid

    def _send(self, kind, *parts):
        """Write one packet; it is made in one piece of memory, once."""
        n = 0
        for part in parts:
            n += len(part)
        head = bytearray((kind,))
        size = n
        while True:
            head.append(size & 127 | (128 if size > 127 else 0))
            size >>= 7
            if not size:
                break
        at = len(head)
        packet = bytearray(at + n)
        packet[:at] = head
        for part in parts:
            packet[at : at + len(part)] = part
            at += len(part)
        self._write(packet)
        return packet

    def _write(self, packet):
        view, end = memoryview(packet), time.ticks_add(time.ticks_ms(), 5000)
        while True:
            sent = self.sock.write(view)
            if sent:
                view = view[sent:]
            if not len(view):
                self.written = time.ticks_ms()
                return
            if time.ticks_diff(end, time.ticks_ms()) <= 0:
                raise Lost("the broker takes nothing in")
            time.sleep_ms(5)

    def _take(self, got):
        """Cut what has come into packets."""
        if self.over:
            skip = min(self.over, len(got))
            self.over -= skip
            got = got[skip:]
        buf = self.left + got
        at, end = 0, len(buf)
        while end - at >= 2:
            n, shift, i = 0, 0, at + 1
            while i < end:
                c = buf[i]
                n |= (c & 127) << shift
                shift += 7
                i += 1
                if not c & 128:
                    break
                if shift > 21:
                    raise Lost("no MQTT")
            else:
                break
            if n > MOST:
                self.over = max(0, n - (end - i))
                at = min(end, i + n)
                continue
            if end - i < n:
                break
            self._packet(buf[at], buf[i : i + n])
            at = i + n
            if not self.sock:
                return
        self.left = buf[at:]

    def _packet(self, kind, body):
        what = kind & 0xF0
        if what == 0x40:
            self.flight.pop(body[0] << 8 | body[1], None)
        elif what == 0x30:
            n = 2 + (body[0] << 8 | body[1])
            qos = kind >> 1 & 3
            at = n + 2 if qos else n
            if self.heard:
                self.heard(body[2:n].decode(), body[at:])
            if qos and self.sock:
                self._send(0x40, body[n : n + 2])
        elif what == 0x20:
            if body[1]:
                raise Lost("the broker refuses: %d" % body[1])  # 3.2.2.3: 4 and 5 are name and password
            self.session = bool(body[0] & 1)
        elif what == 0x90 and 128 in body[2:]:
            raise Lost("the broker refuses a subscription")

    def _watch(self):
        now = time.ticks_ms()
        for entry in self.flight.values():
            if time.ticks_diff(now, entry[1]) > PATIENCE:
                if entry[0][0] & 8:
                    raise Lost("no PUBACK")
                entry[0][0] |= 8
                entry[1] = now
                self._write(entry[0])
        if time.ticks_diff(now, self.read_at) > self.keep * 1500:
            raise Lost("silence")
        if (
            time.ticks_diff(now, self.written) > self.keep * 500
            or time.ticks_diff(now, self.read_at) > self.keep * 1000
        ):
            if time.ticks_diff(now, self.written) > 1000:
                self._send(0xC0)
