"""Uptime that never jumps, and the time of day when somebody has told it.

Enters: SNTP answers (RFC 4330). Leaves: `now()`, ms since this boot; `offset`, epoch ms at uptime 0, None until known.
Guarantee: nothing here reads the chip's calendar clock, whose epoch is 2000 on an ESP and 1970 elsewhere, and which jumps; an
answer more than `STEP` away from what is known counts only when a second one agrees.
"""

import socket
import struct
import time

NTP = 2_208_988_800  # seconds from 1900 to 1970
STEP = 60_000
EARLIEST = 1_735_689_600_000  # 2025: a server that says less does not know the time either


class Clock:
    def __init__(self):
        self.offset = None
        self._last = time.ticks_ms()
        self._up = 0
        self._doubt = None

    def now(self):
        """Ms since this boot. Ask at least once in three days: the chip's counter wraps at 2**30 ms."""
        ticks = time.ticks_ms()
        self._up += time.ticks_diff(ticks, self._last)
        self._last = ticks
        return self._up

    def ask(self, host, port=123, timeout=2000):
        """Ask one server; whether the time is known now."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.settimeout(timeout / 1000)
            # Connected: nobody else's answer is taken, and a host without a server says so at once where ICMP is heard.
            sock.connect(socket.getaddrinfo(host, port)[0][-1])
            token = struct.pack("!II", 0, time.ticks_us() & 0x3FFFFFFF)
            sent = self.now()
            sock.send(b"\x1b" + bytes(39) + token)
            answer = sock.recv(48)
            return self.heard(answer, token, sent, self.now())
        except OSError:
            return False
        finally:
            sock.close()

    def heard(self, answer, token, sent, came):
        """Judge an answer to `token`; whether it was taken."""
        if len(answer) < 48 or answer[0] & 7 != 4 or answer[0] >> 6 == 3 or not 1 <= answer[1] <= 15:
            return False
        if answer[24:32] != token:
            return False  # somebody else's, or an old one
        seconds, part = struct.unpack("!II", answer[40:48])
        if seconds < 0x80000000:
            seconds += 0x100000000  # era 1, from 2036
        epoch = (seconds - NTP) * 1000 + (part * 1000 >> 32)
        if epoch < EARLIEST:
            return False
        offset = epoch - (sent + came) // 2
        if self.offset is not None and abs(offset - self.offset) > STEP:
            if self._doubt is None or abs(offset - self._doubt) > STEP:
                self._doubt = offset
                return False
        self._doubt = None
        self.offset = offset
        return True
